import { serveOstinato } from "./start-ostinato.mjs";

serveOstinato({ watchdog: false, registry: false }, { settled: true });
