import { aboutThisProcess } from "../../admin/about.js";
import { serveRoutes, type AdminServer, type ListenOptions } from "../../admin/admin-server.js";
import { json, toRoutes } from "../../admin/routes.js";
import { packageVersion } from "../../base/package-version.js";
import { judgeLive, judgeReady } from "./health.js";
import type { Supervisor } from "./supervisor.js";

const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One endpoint for the supervisor and all its children: `/livez`, `/readyz`, `/metrics` and `/status`. */
export function startSupervisorAdmin(
  supervisor: Pick<Supervisor, "status" | "metrics" | "silent">,
  at: ListenOptions,
): Promise<AdminServer> {
  const version = packageVersion();
  const routes = toRoutes({
    "/livez": () => {
      const { isGood, reasons } = judgeLive(supervisor.status, supervisor.silent);
      return json(isGood ? 200 : 503, { status: isGood ? "ok" : "stuck", reasons });
    },
    "/readyz": () => {
      const { isGood, reasons } = judgeReady(supervisor.status);
      return json(isGood ? 200 : 503, { status: isGood ? "ok" : "not ready", reasons });
    },
    "/status": () => json(200, { ...aboutThisProcess(version), ...supervisor.status }),
    "/metrics": async () => ({
      status: 200,
      contentType: METRICS_CONTENT_TYPE,
      body: await supervisor.metrics(),
    }),
  });
  return serveRoutes(at, routes);
}
