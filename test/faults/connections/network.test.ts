import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { sleep, until } from "../../support/faults/helpers.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { CONNECTION_BOUND_MS } from "../../support/faults/world.js";
import { createNameService, whyNoNameService } from "../../support/network/name-service.js";
import { createNetNamespaces, whyNoNamespaces } from "../../support/network/net-namespace.js";
import { startTcpProxy } from "../../support/network/tcp-proxy.js";
import { startConductorUnder } from "../../support/servers/conductor-process.js";

const group = "Connections";
const boundMs = CONNECTION_BOUND_MS;
const DROP_MS = 15_000;

describe.concurrent("the network itself", () => {
  fault(
    {
      number: 4,
      group,
      name: "packets are dropped, then pass again",
      boundMs,
      guard: "every request has a total deadline, connecting included",
      skip: whyNoNamespaces(),
    },
    async (run) => {
      const net = createNetNamespaces();
      run.onEnd(() => net.close());
      const conductor = await startConductorUnder(net.server, net.serverAddress);
      const world = await startProcessWorld(run, { conductor });
      const worker = await world.startWorker({ taskMs: 500 }, { under: net.client });
      await world.done(await world.begin(5));
      const started = () => worker.events.filter(({ name }) => name === "taskStarted").length;
      const under = await world.begin(5);
      await until(() => started() === 10);
      net.drop();
      // By then TCP sends again only every 13 s: whoever waits for that comes far too late.
      await sleep(DROP_MS);
      expect(worker.events.filter(({ name }) => name === "taskExecuted")).toHaveLength(10);
      expect(worker.events.filter(({ name }) => name === "deadlineExceeded").length).toBeGreaterThanOrEqual(2);
      net.restore();
      run.injected();
      await run.worksAgain(world);
      await world.done(under);
      return "For 15 s a router dropped every packet, of old connections and of new ones. Five results were finished meanwhile; they were kept and applied when packets passed again.";
    },
  );

  fault(
    {
      number: 10,
      group,
      name: "a name stops resolving, and comes back with another address",
      boundMs,
      guard: "the name is asked for at every connect",
      skip: whyNoNameService(),
    },
    async (run) => {
      const names = createNameService();
      run.onEnd(() => {
        names.close();
      });
      const world = await startProcessWorld(run);
      const { port: serverPort } = world.conductor;
      const first = await startTcpProxy(serverPort);
      const second = await startTcpProxy(serverPort, { host: "127.0.0.2", port: first.port });
      run.onEnd(() => Promise.all([first.close(), second.close()]));
      names.set("conductor.test", "127.0.0.1");
      const worker = await world.startWorker(
        { serverUrl: `http://conductor.test:${first.port}/api`, taskMs: 500 },
        { under: names.under },
      );
      await world.done(await world.begin(5));
      const under = await world.begin(5);
      await until(() => worker.events.filter(({ name }) => name === "taskStarted").length === 10);
      expect(second.connections).toBe(0);
      names.set("conductor.test", undefined);
      first.refuse();
      first.resetAll();
      await sleep(3_000);
      const failures = worker.events.filter(({ name }) => name === "pollFailed" || name === "taskUpdateFailed");
      expect(failures.map(({ fields }) => String(fields.error)).join(), "why requests failed").toMatch(/ENOTFOUND/);
      names.set("conductor.test", "127.0.0.2");
      run.injected();
      await run.worksAgain(world);
      await world.done(under);
      expect(second.connections).toBeGreaterThanOrEqual(1);
      return "The server moved: for 3 s its name did not exist, then it had another address. Five results that were finished meanwhile were kept and applied there.";
    },
  );
});
