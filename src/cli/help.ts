import { DEFAULT_DRAIN_TIMEOUT_MS } from "../base/stop-signals.js";
import { DEFAULT_START_TIMEOUT_MS } from "../supervisor/primary/restart-policy.js";

export const HELP = `Usage: ostinato <command> [options]

Commands:
  run <script> [options] [-- arguments of the script]
               runs a worker script in processes of its own and replaces what dies
                 --processes <number>         how many, or auto (default 1)
                 --admin-port <number>        /livez, /readyz, /metrics and /status
                                              of all processes (default: nowhere)
                 --admin-host <address>       where that listens (default 127.0.0.1)
                 --drain-timeout-ms <number>  for tasks to finish at a stop
                                              (default ${DEFAULT_DRAIN_TIMEOUT_MS})
                 --start-timeout-ms <number>  for a process to start its handler
                                              (default ${DEFAULT_START_TIMEOUT_MS})
                 --node-arg <argument>        for Node, again for each:
                                              --node-arg=--import=tsx
               SIGTERM and SIGINT stop, SIGHUP replaces the processes one by one

  dev          an embedded Conductor in memory, for developing workers against
                 --port <number>   where it listens on 127.0.0.1 (default 8080)
                 --queue <kind>    patient (as SQLite and Postgres, default),
                                   eager (as Redis) or instant (as MySQL)

Options:
  --help       this text
  --version    the version
`;
