import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Deployment } from "kubernetes-types/apps/v1.js";
import type { Secret } from "kubernetes-types/core/v1.js";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { KILL_MARGIN_MS } from "../../src/supervisor/primary/process-place.js";
import { requireProgram, SAMPLE, sampleText } from "../support/e2e/deployed.js";
import { envOf, execForm, lastOf, parseDockerfile } from "../support/e2e/dockerfile.js";
import { checkManifests } from "../support/e2e/kubernetes-types.js";
import { repositoryRoot } from "../support/e2e/packed-package.js";
import { parseUnit, timeSpanMs } from "../support/e2e/systemd-unit.js";

/** As the guide tells it; nothing exports it. */
const DRAIN_TIMEOUT_MS = Number(/`drainTimeoutMs` \(default (\d+)/.exec(guidePage("stop"))?.[1]);
/** Until a supervisor kills what does not end; a process without one is done before that. */
const STOP_MS = DRAIN_TIMEOUT_MS + KILL_MARGIN_MS;
/** From the stall to the exit the watchdog may take its report, a grace of 5 s and the steps of its ladder, in ms. */
const WATCHDOG_MS = 10_000;
const PORT = 9400;

const unit = parseUnit(sampleText("systemd", "greeter.service"));
const stages = parseDockerfile(sampleText("docker", "Dockerfile"));
const image = stages.at(-1)!;
const deployment = parse(sampleText("kubernetes", "deployment.yaml")) as Deployment;
const pod = deployment.spec!.template.spec!;
const container = pod.containers[0]!;
const containerEnv = new Map(container.env!.map(({ name, value }) => [name, value]));
const compose = parse(sampleText("docker", "compose.yaml")) as { services: Record<string, Record<string, unknown>> };
const unitEnv = new Map(unit.get("Service.Environment")!.map((each) => each.split("=") as [string, string]));

/** As much of it as is looked at; the API of the Prometheus Operator has no types here. */
interface PodMonitor {
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly podMetricsEndpoints: readonly {
      readonly port: string;
      readonly path: string;
      readonly relabelings: readonly { readonly targetLabel: string; readonly replacement: string }[];
    }[];
  };
}

describe("the files of samples/deploy", () => {
  test("the drain's length is known", () => {
    expect(DRAIN_TIMEOUT_MS).toBeGreaterThan(0);
  });

  test("a program that is not installed is missed in a sentence", () => {
    expect(() => requireProgram("no-such-program", "Install it.")).toThrow(
      "no no-such-program on the PATH. Install it.",
    );
  });

  describe("what the places agree on", () => {
    const env: readonly (readonly [place: string, names: readonly string[]])[] = [
      ["systemd/greeter.service", [...unitEnv.keys()]],
      ["systemd/greeter.env.example", variablesIn(sampleText("systemd", "greeter.env.example"))],
      ["docker/Dockerfile", Object.keys(envOf(image))],
      ["docker/compose.yaml", variablesIn(sampleText("docker", "compose.yaml"))],
      ["kubernetes/deployment.yaml", [...containerEnv.keys()]],
      ["kubernetes/secret.example.yaml", variablesIn(sampleText("kubernetes", "secret.example.yaml"))],
      ["README.md", variablesIn(sampleText("README.md"))],
    ];

    test.each(env)("%s sets variables that the guide has", (_place, names) => {
      const ours = names.filter((name) => name.startsWith("CONDUCTOR_"));
      expect(ours.length).toBeGreaterThan(0);
      for (const name of ours) expect(guidePage("configure")).toContain(`\`${name}\``);
      // The others are Node's, and the sample's own.
      const others = names.filter((name) => !ours.includes(name));
      for (const name of others) expect(["NODE_ENV", "STATE_DIRECTORY"]).toContain(name);
    });

    test("the port of health and metrics", () => {
      expect(unitEnv.get("CONDUCTOR_WORKER_ADMIN_PORT")).toBe(String(PORT));
      expect(envOf(image).CONDUCTOR_WORKER_ADMIN_PORT).toBe(String(PORT));
      expect(lastOf(image, "EXPOSE")).toBe(String(PORT));
      expect(compose.services.greeter!.ports).toEqual([`127.0.0.1:${PORT}:${PORT}`]);
      expect(containerEnv.get("CONDUCTOR_WORKER_ADMIN_PORT")).toBe(String(PORT));
      expect(container.ports).toEqual([{ name: "admin", containerPort: PORT }]);
      expect(readFileSync(path.join(SAMPLE, "../prometheus/prometheus.yml"), "utf8")).toContain(`127.0.0.1:${PORT}`);
    });

    test("it is listened to from outside of a container, and only there", () => {
      expect(envOf(image).CONDUCTOR_WORKER_ADMIN_HOST).toBe("0.0.0.0");
      expect(containerEnv.get("CONDUCTOR_WORKER_ADMIN_HOST")).toBe("0.0.0.0");
      expect(unitEnv.has("CONDUCTOR_WORKER_ADMIN_HOST")).toBe(false);
    });

    test("whoever kills waits longer than a stop may take", () => {
      const waits = {
        systemd: timeSpanMs(unit.get("Service.TimeoutStopSec")![0]!),
        compose: timeSpanMs(String(compose.services.greeter!.stop_grace_period)),
        dockerRun: Number(/--stop-timeout (\d+)/.exec(sampleText("README.md"))?.[1]) * 1000,
        kubernetes: pod.terminationGracePeriodSeconds! * 1000,
      };
      for (const [place, ms] of Object.entries(waits)) expect(ms, place).toBeGreaterThanOrEqual(STOP_MS + 5_000);
    });

    test("whoever looks at /livez leaves the watchdog the first word", () => {
      const { periodSeconds, failureThreshold } = container.livenessProbe!;
      const stallMs = Number(containerEnv.get("CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS")) * 1000;
      // The first of the failures may be just after the stall has begun.
      expect(periodSeconds! * (failureThreshold! - 1) * 1000).toBeGreaterThan(stallMs + WATCHDOG_MS);

      const [, interval = "", retries] = /--interval=(\S+) .*--retries=(\d+)/.exec(lastOf(image, "HEALTHCHECK")!) ?? [];
      const imageStallMs = Number(envOf(image).CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS) * 1000;
      expect(timeSpanMs(interval) * (Number(retries) - 1)).toBeGreaterThan(imageStallMs + WATCHDOG_MS);
    });
  });

  describe("the systemd unit", () => {
    test("passes systemd-analyze verify", async () => {
      const { code, output } = await verify(sampleText("systemd", "greeter.service"));
      expect(output.trim()).toBe("");
      expect(code).toBe(0);
    });

    test("passes it as the unit of one process", async () => {
      const alternative = /^# {3}(ExecStart=.*)$/m.exec(sampleText("systemd", "greeter.service"))?.[1] ?? "none";
      const text = sampleText("systemd", "greeter.service").replace(/^ExecReload=.*\n/m, "");
      const { code, output } = await verify(text.replace(/^ExecStart=.*$/m, alternative));
      expect({ code, output: output.trim() }).toEqual({ code: 0, output: "" });
    });

    test("would not pass with a setting that does not exist", async () => {
      const text = sampleText("systemd", "greeter.service").replace("TimeoutStopSec=", "TimeoutStopSecs=");
      expect((await verify(text)).output).toMatch(/Unknown key.*TimeoutStopSecs/);
    });

    test("signals the main process only, and starts whatever ended again", () => {
      expect(unit.get("Service.KillMode")).toEqual(["mixed"]);
      expect(unit.get("Service.Restart")).toEqual(["always"]);
      expect(unit.get("Service.OOMPolicy")).toEqual(["continue"]);
      expect(unit.get("Unit.StartLimitIntervalSec")).toEqual(["0"]);
    });

    test("lets Node compile and the watchdog read /proc", () => {
      for (const name of ["MemoryDenyWriteExecute", "ProcSubset"])
        expect(unit.has(`Service.${name}`), name).toBe(false);
    });

    async function verify(text: string): Promise<{ code: number; output: string }> {
      const analyze = requireProgram("systemd-analyze", "It is in systemd (Debian, Ubuntu: apt-get install systemd).");
      const folder = mkdtempSync(path.join(tmpdir(), "ostinato-unit-"));
      const file = path.join(folder, "greeter.service");
      writeFileSync(file, text.replaceAll("/usr/bin/node", process.execPath).replaceAll("/opt/greeter", folder));
      return new Promise((resolve) => {
        execFile(analyze, ["verify", "--man=no", file], { timeout: 20_000 }, (error, stdout, stderr) => {
          rmSync(folder, { recursive: true });
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr });
        });
      });
    }
  });

  describe("the Dockerfile", () => {
    test("builds on a Node that is supported, by version", () => {
      const { engines } = JSON.parse(readFileSync(path.join(repositoryRoot, "package.json"), "utf8"));
      const oldest = Number(/\d+/.exec(String(engines.node))?.[0]);
      for (const { image: from } of stages) {
        expect(Number(/^node:(\d+)-slim$/.exec(from)?.[1]), from).toBeGreaterThanOrEqual(oldest);
      }
    });

    test("ends as another user than root, with Node and no shell as PID 1", () => {
      expect(lastOf(image, "USER")).toBe("node");
      expect(
        image.instructions.slice(image.instructions.findIndex(({ name }) => name === "USER")).map(({ name }) => name),
      )
        // Nothing after it needs root.
        .toEqual(["USER", "STOPSIGNAL", "HEALTHCHECK", "CMD"]);
      expect(execForm(lastOf(image, "CMD")!)).toEqual(["node", "worker.mjs"]);
      expect(lastOf(image, "ENTRYPOINT")).toBeUndefined();
      expect(lastOf(image, "STOPSIGNAL")).toBe("SIGTERM");
      expect(envOf(image).NODE_ENV).toBe("production");
    });

    test("makes the folder of the journal for that user, where the volumes are mounted", () => {
      const folder = envOf(image).STATE_DIRECTORY!;
      expect(lastOf(image, "RUN")).toBe(`install -d -o node -g node -m 0700 ${folder}`);
      expect(compose.services.greeter!.volumes).toEqual([`journal:${folder}`]);
      expect(container.volumeMounts).toEqual([{ name: "state", mountPath: folder }]);
      expect(containerEnv.get("STATE_DIRECTORY")).toBe(folder);
      expect(sampleText("README.md")).toContain(`:${folder} `);
    });
  });

  describe("the Kubernetes manifests", () => {
    const manifests = ["deployment.yaml", "secret.example.yaml", "podmonitor.yaml"] as const;

    test.each(manifests)("%s is YAML that says nothing twice", (name) => {
      const documents = parseAllDocuments(sampleText("kubernetes", name));
      expect(documents).toHaveLength(1);
      for (const document of documents) expect([...document.errors, ...document.warnings]).toEqual([]);
    });

    test("have the fields that the API has", async () => {
      await checkManifests([deployment, parse(sampleText("kubernetes", "secret.example.yaml"))]);
    });

    test("would not pass with a field at the wrong depth", async () => {
      const wrong = structuredClone(deployment);
      Object.assign(wrong.spec!.template.spec!, { livenessProbe: container.livenessProbe });
      await expect(checkManifests([wrong])).rejects.toThrow(/livenessProbe.* does not exist in type 'PodSpec'/);
    });

    test("agree on labels, ports and names", () => {
      const labels = deployment.spec!.template.metadata!.labels;
      const monitor = parse(sampleText("kubernetes", "podmonitor.yaml")) as PodMonitor;
      expect(deployment.spec!.selector.matchLabels).toEqual(labels);
      expect(pod.topologySpreadConstraints![0]!.labelSelector!.matchLabels).toEqual(labels);
      expect(monitor.spec.selector.matchLabels).toEqual(labels);
      const [endpoint] = monitor.spec.podMetricsEndpoints;
      const job = endpoint?.relabelings.find(({ targetLabel }) => targetLabel === "job")?.replacement;
      expect(endpoint).toMatchObject({ port: "admin", path: "/metrics" });
      const alerts = readFileSync(path.join(SAMPLE, "../prometheus/alerts.rules.yml"), "utf8");
      expect(alerts).toContain(`job="${String(job)}"`);
      const secret = parse(sampleText("kubernetes", "secret.example.yaml")) as Secret;
      for (const { name, valueFrom } of container.env!) {
        if (valueFrom === undefined) continue;
        expect(valueFrom.secretKeyRef!.name).toBe(secret.metadata!.name);
        expect(Object.keys(secret.stringData!)).toContain(valueFrom.secretKeyRef!.key);
        expect(valueFrom.secretKeyRef!.key).toBe(name);
      }
    });

    test("ask what they should: /livez restarts, /readyz rolls", () => {
      expect(container.startupProbe!.httpGet).toEqual({ path: "/livez", port: "admin" });
      expect(container.livenessProbe!.httpGet).toEqual({ path: "/livez", port: "admin" });
      expect(container.readinessProbe!.httpGet).toEqual({ path: "/readyz", port: "admin" });
      expect(deployment.spec!.strategy!.rollingUpdate!.maxUnavailable).toBe(0);
    });

    test("run the image as it is, without root", () => {
      expect(container.command).toBeUndefined();
      expect(container.args).toBeUndefined();
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
      expect(container.securityContext).toMatchObject({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
      });
      expect(pod.enableServiceLinks).toBe(false);
      expect(container.resources!.limits).not.toHaveProperty("cpu");
    });
  });
});

function variablesIn(text: string): string[] {
  return [...new Set(text.match(/\bCONDUCTOR_[A-Z_]+\b/g))];
}

function guidePage(name: string): string {
  return readFileSync(path.join(repositoryRoot, `docs/guide/${name}.md`), "utf8");
}
