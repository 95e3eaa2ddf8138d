import { TaskHandler } from "ostinato";
import { workers } from "../../../samples/order-fulfilment/workers.js";

// The sample's workers alone, in a process of their own, until SIGTERM: who starts the workflows may live longer.
await new TaskHandler({ workers }).run();
