import { setTimeout as sleep } from "node:timers/promises";
import { defineWorker, TaskHandler } from "ostinato";

/** Decides in an instant for an address, and not in a lifetime for some texts that are none. */
const HASTY = /^([a-z0-9]+\.?)+@example\.com$/;
const hastyCheck = (text) => HASTY.test(text);

const CAREFUL = /^[a-z0-9]+(?:\.[a-z0-9]+)*@example\.com$/;
const carefulCheck = (text) => CAREFUL.test(text);

const checkAddress = defineWorker({
  taskDefName: "check_address",
  concurrency: 4,
  execute: async ({ text }, { retryCount, signal }) => {
    // What failed once is looked at with care: otherwise it would take one process after the other with it.
    const isAddress = retryCount === 0 ? hastyCheck(text) : carefulCheck(text);
    await sleep(100, undefined, { signal }); // stands for the rest of the work
    return { isAddress };
  },
});

// Nothing in here knows that it is supervised.
await new TaskHandler({ workers: [checkAddress] }).run();
