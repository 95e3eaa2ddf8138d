import { http, HttpResponse } from "msw";
import { Pool } from "undici";
import { startScriptedServer, type ScriptedServer } from "./scripted-server.js";

/** A scripted server in front of a Conductor: what no handler answers is passed on. */
export interface Gateway extends ScriptedServer {
  /** Passes a request on and gives the answer, for handlers that change one or the other. */
  forward(request: Request, path?: string): Promise<Response>;
}

/** Headers about one connection, not about the message. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "host", "content-length"]);

/**
 * Starts a gateway. What it has passed on is carried out, even when its own client has left, as a real server does: such
 * an answer is lost on the way.
 */
export async function startGateway(targetUrl: string): Promise<Gateway> {
  const { origin } = new URL(targetUrl);
  const pool = new Pool(origin, { connections: 512, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

  async function forward(request: Request, path?: string): Promise<Response> {
    const url = new URL(request.url);
    const headers: Record<string, string> = {};
    for (const [name, value] of request.headers) if (!HOP_BY_HOP.has(name)) headers[name] = value;
    const bodiless = request.method === "GET" || request.method === "HEAD";
    const answer = await pool.request({
      method: request.method,
      path: path ?? url.pathname + url.search,
      headers,
      body: bodiless ? null : Buffer.from(await request.arrayBuffer()),
    });
    const bytes = await answer.body.arrayBuffer();
    const contentType = answer.headers["content-type"];
    return new HttpResponse(answer.statusCode === 204 ? null : bytes, {
      status: answer.statusCode,
      headers: typeof contentType === "string" ? { "content-type": contentType } : {},
    });
  }

  const server = await startScriptedServer([
    http.all("*", async ({ request }) => {
      try {
        return await forward(request);
      } catch {
        // The Conductor behind it is gone: so is the connection.
        return HttpResponse.error();
      }
    }),
  ]);
  return Object.assign(Object.create(server) as ScriptedServer, {
    forward,
    async close() {
      await pool.destroy();
      await server.close();
    },
  });
}
