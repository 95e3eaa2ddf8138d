import { setTimeout as sleep } from "node:timers/promises";
import { defineWorker, type WorkerDefinition } from "ostinato";

interface OrderInput {
  readonly orderNumber: number;
}

const CONCURRENCY = 20;
/** Longer than the response timeout of its definition: without a lease the server would take the task away. */
const LARGE_ORDER_MS = 2_500;

const reserve = defineWorker({
  taskDefName: "order_reserve",
  concurrency: CONCURRENCY,
  execute: async ({ orderNumber }: OrderInput, ctx) => {
    await sleep(workMs(orderNumber, 10, 30), undefined, { signal: ctx.signal });
    return { warehouse: orderNumber % 2 === 0 ? "north" : "south" };
  },
});

const charge = defineWorker({
  taskDefName: "order_charge",
  concurrency: CONCURRENCY,
  execute: async ({ orderNumber }: OrderInput, ctx) => {
    await sleep(workMs(orderNumber, 20, 60), undefined, { signal: ctx.signal });
    ctx.log(`charged order ${orderNumber}`);
    return { paid: true };
  },
});

const pack = defineWorker({
  taskDefName: "order_pack",
  concurrency: CONCURRENCY,
  // Beyond the response timeout: the lease is extended for as long.
  executionTimeoutMs: 15_000,
  execute: async ({ orderNumber }: OrderInput, ctx) => {
    const isLarge = isLargeOrder(orderNumber);
    await sleep(isLarge ? LARGE_ORDER_MS : workMs(orderNumber, 30, 80), undefined, { signal: ctx.signal });
    return { parcels: isLarge ? 12 : 1 };
  },
});

const ship = defineWorker({
  taskDefName: "order_ship",
  concurrency: CONCURRENCY,
  execute: async ({ orderNumber }: OrderInput, ctx) => {
    await sleep(workMs(orderNumber, 10, 40), undefined, { signal: ctx.signal });
    if (isFlaky(orderNumber) && ctx.retryCount === 0) throw new Error("the carrier did not answer");
    return { trackingNumber: `OST-${String(orderNumber).padStart(6, "0")}` };
  },
});

const notify = defineWorker({
  taskDefName: "order_notify",
  concurrency: CONCURRENCY,
  execute: async ({ orderNumber, trackingNumber }: OrderInput & { trackingNumber: string }, ctx) => {
    await sleep(workMs(orderNumber, 5, 15), undefined, { signal: ctx.signal });
    return { message: `Order ${orderNumber} is on its way: ${trackingNumber}` };
  },
});

export const workers: readonly WorkerDefinition[] = [reserve, charge, pack, ship, notify];

/** The first attempt to ship these fails. */
export function isFlaky(orderNumber: number): boolean {
  return orderNumber % 7 === 0;
}

/** Packing these takes longer than the response timeout. */
export function isLargeOrder(orderNumber: number): boolean {
  return orderNumber % 20 === 5;
}

/** A duration that looks like real work, the same in every run. */
function workMs(orderNumber: number, minMs: number, maxMs: number): number {
  return minMs + ((orderNumber * 7919) % (maxMs - minMs + 1));
}
