/** An answer that does not come from the server that it is about. */
export interface Answer {
  readonly status: number;
  /** Empty: none is sent. */
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Conductor's own words are about the request; a stranger's are about what stands in between. */
  readonly speaker: "stranger" | "conductor";
}

/** Statuses that something between a worker and its server has been seen to answer with. */
export const STRANGE_STATUSES = [
  200, 204, 302, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 422, 425, 429, 431, 451, 500, 501,
  502, 503, 504,
] as const;

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
const titleOf = (status: number): string => TITLES[status] ?? `Status ${status}`;

const HTML = "text/html";
const JSON_TYPE = "application/json";
const WHEN = "2026-01-05T08:30:00.000+00:00";

/** How known gateways, frameworks and filters put it, by the name of the style. */
const STYLES: Readonly<Record<string, (status: number) => Pick<Answer, "contentType" | "body" | "headers">>> = {
  nginx: (status) => ({
    contentType: HTML,
    body: `<html>\r\n<head><title>${status} ${titleOf(status)}</title></head>\r\n<body>\r\n<center><h1>${status} ${titleOf(status)}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`,
  }),
  text: (status) => ({ contentType: "text/plain", body: titleOf(status) }),
  empty: () => ({ contentType: "", body: "" }),
  aws: () => ({ contentType: JSON_TYPE, body: '{"message":"Missing Authentication Token"}' }),
  kong: () => ({
    contentType: JSON_TYPE,
    body: '{"message":"no Route matched with those values","request_id":"9f2b1c0d7e6a4853b1c2d3e4f5a6b7c8"}',
  }),
  azure: (status) => ({
    contentType: JSON_TYPE,
    body: JSON.stringify({ statusCode: status, message: "Resource not found" }),
  }),
  spring: (status) => ({
    contentType: JSON_TYPE,
    body: JSON.stringify({ timestamp: WHEN, status, error: titleOf(status), path: "/api/tasks" }),
  }),
  springMessage: (status) => ({
    contentType: JSON_TYPE,
    body: JSON.stringify({
      timestamp: WHEN,
      status,
      error: titleOf(status),
      message: "The request was rejected",
      path: "/api/tasks",
    }),
  }),
  problem: (status) => ({
    contentType: "application/problem+json",
    body: JSON.stringify({ type: "about:blank", title: titleOf(status), status, detail: "Refused by the gateway" }),
  }),
  retryAfter: (status) => ({ contentType: "text/plain", body: titleOf(status), headers: { "retry-after": "1" } }),
};

/** Styles that only some statuses come in. */
const ONLY: Readonly<Record<string, readonly number[]>> = { retryAfter: [429, 503] };

function strangers(): [string, Answer][] {
  return Object.entries(STYLES).flatMap(([style, of]) => {
    const statuses = ONLY[style] ?? STRANGE_STATUSES;
    return statuses
      .filter((status) => status !== 204 || style === "empty")
      .map((status): [string, Answer] => {
        const answer = of(status);
        const location = status === 302 ? { headers: { location: "https://login.example.com/" } } : {};
        return [`${style} ${status}`, { status, ...answer, ...location, speaker: "stranger" }];
      });
  });
}

/** As the real server puts it when its database fails (to be tried again), or when it stumbles. */
function own(retryable: boolean): Answer {
  const message = retryable ? "Unable to acquire a connection" : "Index 0 out of bounds for length 0";
  const body = JSON.stringify({ status: 500, message, instance: "conductor-0", retryable });
  return { status: 500, contentType: JSON_TYPE, body, speaker: "conductor" };
}

/** Every answer that is given in the server's stead, by its name: its style and its status. */
export const ANSWERS: ReadonlyMap<string, Answer> = new Map([
  ...strangers(),
  ["conductor retryable", own(true)],
  ["conductor final", own(false)],
]);

export const STRANGE_ANSWERS: readonly string[] = [...ANSWERS].flatMap(([name, { speaker }]) =>
  speaker === "stranger" ? [name] : [],
);

export function answerNamed(name: string): Answer {
  const answer = ANSWERS.get(name);
  if (answer === undefined) throw new RangeError(`no answer is called ${name}`);
  return answer;
}
