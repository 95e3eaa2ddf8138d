import { serveOstinato, UNWATCHED } from "./start-ostinato.mjs";

serveOstinato((taskType) => ({ [taskType]: UNWATCHED }));
