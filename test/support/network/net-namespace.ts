import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";

/**
 * Three network namespaces in a row, client – router – server. The router's blackhole routes really drop packets: no
 * FIN, no RST, no ICMP to the peers' sockets, whichever connection they belong to; and taking the routes away restores
 * the path under the same connections. (The route must be in a router between: on an end host it would be an error of
 * the local stack.) Needs root and Linux; nothing outside of the namespaces is touched.
 */
export interface NetNamespaces {
  /** The command prefix that runs a program in the client's namespace: for `startProcess({ under })`. */
  readonly client: readonly string[];
  /** The same for the server's. */
  readonly server: readonly string[];
  /** Where the server is, as the client sees it. */
  readonly serverAddress: string;
  /** From now on every packet between the two is dropped, both ways. */
  drop(): void;
  /** Packets pass again. */
  restore(): void;
  /** Whether it drops now. */
  readonly isDropping: boolean;
  /** Removes the namespaces; end their processes first. */
  close(): void;
}

const CLIENT_ADDRESS = "10.203.1.2";
const SERVER_ADDRESS = "10.203.2.2";

/** Why there are no namespaces here; `undefined` where there are. With `OSTINATO_REQUIRE_NAMESPACES=1` it throws. */
export function whyNoNamespaces(): string | undefined {
  let why: string | undefined;
  const name = `ostn-probe-${randomBytes(3).toString("hex")}`;
  try {
    if (process.platform !== "linux") throw new Error("network namespaces are Linux's");
    ip("netns", "add", name);
    try {
      ip("netns", "exec", name, "true");
    } finally {
      ip("netns", "delete", name);
    }
  } catch (error) {
    why = `no network namespaces here: ${messageOf(error)}`;
  }
  if (why !== undefined && process.env.OSTINATO_REQUIRE_NAMESPACES === "1") throw new Error(why);
  return why;
}

/** Makes the namespaces and the path between them. */
export function createNetNamespaces(): NetNamespaces {
  const id = randomBytes(3).toString("hex");
  const [client, router, server] = [`ostn-c-${id}`, `ostn-r-${id}`, `ostn-s-${id}`];
  const made: string[] = [];
  const close = () => {
    // Their links go with them.
    for (const name of made.splice(0)) ip("netns", "delete", name);
  };
  try {
    for (const name of [client, router, server]) {
      ip("netns", "add", name);
      made.push(name);
      ip("-n", name, "link", "set", "lo", "up");
    }
    link(client, `${CLIENT_ADDRESS}/24`, router, "10.203.1.1/24", "c");
    link(server, `${SERVER_ADDRESS}/24`, router, "10.203.2.1/24", "s");
    ip("-n", client, "route", "add", "default", "via", "10.203.1.1");
    ip("-n", server, "route", "add", "default", "via", "10.203.2.1");
    ip("netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1");
  } catch (error) {
    close();
    throw error;
  }
  let isDropping = false;
  // A rule of its own, looked at before the routes of the links, with a table that has nothing but black holes.
  const rule = (what: "add" | "delete") => {
    ip("-n", router, "rule", what, "pref", "10", "lookup", "100");
  };
  ip("-n", router, "route", "add", "blackhole", "10.203.0.0/16", "table", "100");
  return {
    client: ["ip", "netns", "exec", client],
    server: ["ip", "netns", "exec", server],
    serverAddress: SERVER_ADDRESS,
    get isDropping() {
      return isDropping;
    },
    drop() {
      if (!isDropping) rule("add");
      isDropping = true;
    },
    restore() {
      if (isDropping) rule("delete");
      isDropping = false;
    },
    close,
  };
}

/** A cable between two namespaces, with an address at each end. */
function link(hostName: string, hostAddress: string, routerName: string, routerAddress: string, end: string): void {
  const routerEnd = `to-${end}`;
  ip("-n", hostName, "link", "add", "up0", "type", "veth", "peer", "name", routerEnd, "netns", routerName);
  ip("-n", hostName, "address", "add", hostAddress, "dev", "up0");
  ip("-n", routerName, "address", "add", routerAddress, "dev", routerEnd);
  ip("-n", hostName, "link", "set", "up0", "up");
  ip("-n", routerName, "link", "set", routerEnd, "up");
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

function messageOf(error: unknown): string {
  const stderr = (error as { stderr?: Buffer }).stderr?.toString().trim();
  return stderr !== undefined && stderr !== "" ? stderr : error instanceof Error ? error.message : String(error);
}
