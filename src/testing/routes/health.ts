import { json, type RouteReply, type Route, text } from "./http.js";

/** The health checks and the version */
export const healthRoutes: readonly Route[] = [
  ["GET", "/health", health],
  ["GET", "/api/health", health],
  ["GET", "/api/version", () => text("embedded")],
];

function health(): RouteReply {
  return json({ healthResults: [], suppressedHealthResults: [], healthy: true });
}
