/** Names, in the environment, a descriptor that gets the report of a stall as well: a supervisor's pipe. */
export const REPORT_FD_VARIABLE = "OSTINATO_REPORT_FD";

let taken: { readonly fd: number | undefined } | undefined;

/**
 * The descriptor of that name; undefined when there is none. The first call takes it out of the environment: what this
 * process starts has something else under that number.
 */
export function takeReportFd(): number | undefined {
  taken ??= { fd: descriptorIn(process.env[REPORT_FD_VARIABLE]) };
  Reflect.deleteProperty(process.env, REPORT_FD_VARIABLE);
  return taken.fd;
}

function descriptorIn(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,4}$/.test(value) ? Number(value) : undefined;
}
