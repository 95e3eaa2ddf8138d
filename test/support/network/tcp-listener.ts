import net from "node:net";

/** A listening port on the loopback that can be given up and taken again. */
export interface TcpListener {
  /** The same for its whole life. */
  readonly port: number;
  readonly listening: boolean;
  /** Stops listening: from now on the kernel refuses connections. Established ones are left alone. */
  refuse(): void;
  /** Listens on the same port again. */
  accept(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1, or where it is told to. */
export async function listenTcp(
  onConnection: (socket: net.Socket) => void,
  options: net.ServerOpts = {},
  { host = "127.0.0.1", port: wanted = 0 }: { readonly host?: string; readonly port?: number } = {},
): Promise<TcpListener> {
  // A server object per listening period: `close()` of a server ends only when its last connection does.
  let server: net.Server | undefined = await listen(wanted);
  const { port } = server.address() as net.AddressInfo;

  function listen(onPort: number): Promise<net.Server> {
    return new Promise((resolve, reject) => {
      const created = net.createServer(options, onConnection);
      created.once("error", reject);
      created.listen({ port: onPort, host, backlog: 1024 }, () => {
        created.off("error", reject);
        resolve(created);
      });
    });
  }

  return {
    port,
    get listening() {
      return server !== undefined;
    },
    refuse() {
      server?.close();
      server = undefined;
    },
    async accept() {
      server ??= await listen(port);
    },
  };
}
