import net from "node:net";

/** A listening port on 127.0.0.1 that can be given up and taken again. */
export interface TcpListener {
  /** The same for its whole life. */
  readonly port: number;
  readonly listening: boolean;
  /** Stops listening: from now on the kernel refuses connections. Established ones are left alone. */
  refuse(): void;
  /** Listens on the same port again. */
  accept(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function listenTcp(
  onConnection: (socket: net.Socket) => void,
  options: net.ServerOpts = {},
): Promise<TcpListener> {
  // A server object per listening period: `close()` of a server ends only when its last connection does.
  let server: net.Server | undefined = await listen(0);
  const { port } = server.address() as net.AddressInfo;

  function listen(onPort: number): Promise<net.Server> {
    return new Promise((resolve, reject) => {
      const created = net.createServer(options, onConnection);
      created.once("error", reject);
      created.listen({ port: onPort, host: "127.0.0.1", backlog: 1024 }, () => {
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
