import { readFileSync } from "node:fs";
import path from "node:path";
import { SAMPLE } from "./prometheus.js";

export interface DashboardQuery {
  readonly panel: string;
  /** With the dashboard's variables filled in. */
  readonly expr: string;
  /** Nothing in the test makes it more than 0. */
  readonly mayBeZero: boolean;
}

/** What is looked at of a panel. Rows are not collapsed, so that all panels are on one level. */
export interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly datasource?: object;
  readonly targets?: readonly { readonly expr: string; readonly datasource: object }[];
}

export interface Dashboard {
  readonly panels: readonly Panel[];
}

/** The outbox of a thousand results is not filled. */
const MAY_BE_ZERO = ["worker_outbox_full"];
/** For counters that are scraped each second. */
const RATE_INTERVAL = "5s";

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(path.join(SAMPLE, "dashboard.json"), "utf8")) as Dashboard;
}

/** Every query of the sample's dashboard, as Grafana would send it for all instances and task types. */
export function dashboardQueries({ job }: { job: string }): DashboardQuery[] {
  const variables: Record<string, string> = { job, instance: ".*", taskType: ".*", __rate_interval: RATE_INTERVAL };
  const fill = (expr: string) =>
    expr.replace(/\$\{?(\w+)\}?/g, (_all, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`the dashboard has no variable ${name}: ${expr}`);
      return value;
    });
  return readDashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expr: fill(expr),
      mayBeZero: MAY_BE_ZERO.some((name) => expr.includes(name)),
    })),
  );
}
