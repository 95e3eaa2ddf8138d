import { queueNameOf } from "../conductor/queue-name.js";
import type { RunnerStatus, TaskHandlerStatus } from "../status.js";
import type { AboutProcess } from "./about.js";
import { seconds, type Liveness, type Readiness } from "./health.js";

const REFRESH_SECONDS = 5;
const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top }
.ok { color: #1a7f37 } .bad { color: #cf222e } small { opacity: .7 }`;

export interface PageFacts {
  readonly status: TaskHandlerStatus;
  readonly facts: AboutProcess;
  readonly liveness: Liveness;
  readonly readiness: Readiness;
  readonly hasMetrics: boolean;
}

/** The page for people: one file, no script, renewed by itself. */
export function page({ status, facts, liveness, readiness, hasMetrics }: PageFacts): string {
  const links = ["/livez", "/readyz", ...(hasMetrics ? ["/metrics"] : []), "/status"];
  const reasons = [...liveness.reasons, ...readiness.reasons].map((reason) => `<li>${escaped(reason)}</li>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>Ostinato: ${status.state}</title><style>${STYLE}</style></head><body>
<h1>Ostinato worker: ${status.state}</h1>
<p>${flag(liveness.isLive, "live", "stuck")}, ${flag(readiness.isReady, "ready", "not ready")};
${flag(status.serverReachable, "the server is reachable", "the server is not reachable")}.
In flight ${status.inFlight}, results waiting ${status.resultsWaiting}, abandoned ${status.abandoned}.</p>
${reasons.length === 0 ? "" : `<ul class="bad">${reasons.join("")}</ul>`}
<table><thead><tr><th>task type</th><th>state</th><th>running</th><th>last poll</th><th>failing</th></tr></thead>
<tbody>
${status.runners.map(row).join("\n")}
</tbody></table>
<p>${links.map((link) => `<a href="${link}">${link}</a>`).join(" · ")}</p>
<p><small>ostinato ${escaped(facts.version)}, Node ${escaped(facts.node)}, pid ${facts.pid}, up ${facts.uptimeSeconds} s;
renewed every ${REFRESH_SECONDS} s</small></p>
</body></html>
`;
}

function row(runner: RunnerStatus): string {
  const { taskType, domain, state, phase, running, concurrency, lastPollAgoMs, pollsFailing } = runner;
  const doing = state === "polling" ? phase : state;
  const lastPoll = lastPollAgoMs === undefined ? "none yet" : `${seconds(lastPollAgoMs)} ago`;
  const failing = pollsFailing === undefined ? "" : `for ${seconds(pollsFailing.forMs)}: ${pollsFailing.error}`;
  const cells = [queueNameOf(taskType, domain), doing, `${running} of ${concurrency}`, lastPoll];
  return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}<td class="bad">${escaped(failing)}</td></tr>`;
}

function flag(isGood: boolean, good: string, bad: string): string {
  return `<b class="${isGood ? "ok" : "bad"}">${isGood ? good : bad}</b>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Task types, domains and what servers say are others' words. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
