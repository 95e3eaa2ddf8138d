import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { obeySignals } from "../../../../src/supervisor/primary/signals.js";
import { FakeClock } from "../../../support/time/fake-clock.js";

let clock: FakeClock;
let orders: string[];
let deafen: () => void;
const listen = (isTerminal = false) => {
  const order = (name: string) => () => void orders.push(name);
  deafen = obeySignals({ stop: order("stop"), hurry: order("hurry"), roll: order("roll") }, clock, isTerminal);
};
const signal = (name: NodeJS.Signals) => process.emit(name, name);

describe("the signals to the supervisor", () => {
  beforeEach(() => {
    clock = new FakeClock({ startMs: 50 });
    orders = [];
  });
  afterEach(() => {
    deafen();
  });

  test("the first stops, one within two seconds is the same, a later one cuts short", () => {
    listen();
    signal("SIGINT");
    clock.advance(1_999);
    signal("SIGTERM");
    expect(orders).toEqual(["stop"]);
    clock.advance(1);
    signal("SIGTERM");
    expect(orders).toEqual(["stop", "hurry"]);
  });

  test("SIGHUP rolls; in a terminal it says that the terminal was closed", () => {
    listen();
    signal("SIGHUP");
    deafen();
    listen(true);
    signal("SIGHUP");
    expect(orders).toEqual(["roll", "stop"]);
  });

  test("afterwards signals are nobody's", () => {
    const before = process.listenerCount("SIGTERM");
    listen();
    expect(process.listenerCount("SIGTERM")).toBe(before + 1);
    deafen();
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });
});
