import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Names as one process sees them: `/etc/hosts` of its own, and no other source. */
export interface NameService {
  /** The command prefix that runs a program with these names: for `startProcess({ under })`. */
  readonly under: readonly string[];
  /** From now on the name has this address; `undefined`: it does not exist. */
  set(name: string, address: string | undefined): void;
  close(): void;
}

/** Mounts over two files for whoever runs under it; nobody else sees that. */
const MOUNT = 'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@"';

/** Why there is none here; `undefined` where there is. With `OSTINATO_REQUIRE_NAMESPACES=1` it throws. */
export function whyNoNameService(): string | undefined {
  const service = createNameService();
  try {
    const [command, ...args] = [...service.under, "true"];
    execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    return undefined;
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString().trim();
    const why = `no mount namespaces here: ${said === undefined || said === "" ? String(error) : said}`;
    if (process.env.OSTINATO_REQUIRE_NAMESPACES === "1") throw new Error(why);
    return why;
  } finally {
    service.close();
  }
}

/** Makes one. Needs root and Linux where it is used. */
export function createNameService(): NameService {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-names-"));
  const names = new Map<string, string>();
  const write = () => {
    const lines = [...names].map(([name, address]) => `${address} ${name}\n`);
    // In place: a mount stays with the file it was made on.
    writeFileSync(path.join(folder, "hosts"), `127.0.0.1 localhost\n${lines.join("")}`);
  };
  write();
  writeFileSync(path.join(folder, "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n");
  return {
    under: ["unshare", "--mount", "sh", "-c", MOUNT, folder],
    set(name, address) {
      if (address === undefined) names.delete(name);
      else names.set(name, address);
      write();
    },
    close() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
