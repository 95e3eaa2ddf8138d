// Both in one process, so that neither has the luckier one.
import { serveOstinato, UNWATCHED } from "./start-ostinato.mjs";

serveOstinato((taskType) => ({ [`${taskType}_watched`]: {}, [`${taskType}_unwatched`]: UNWATCHED }));
