import { serveOstinato } from "./start-ostinato.mjs";

serveOstinato({}, { settled: true });
