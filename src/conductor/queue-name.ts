/** What Conductor names a queue: the task type, or `domain:type`. An empty domain is a domain, as it is on the server. */
export function queueNameOf(taskType: string, domain: string | undefined): string {
  return domain === undefined ? taskType : `${domain}:${taskType}`;
}
