import { find, quote, type Env, type Kind } from "./parse.js";
import type { Sourced } from "./types.js";

/** Where Conductor listens when it was started as its own documentation says. */
export const DEFAULT_SERVER_URL = "http://localhost:8080/api";

export const SERVER_URL_VARIABLE = "CONDUCTOR_SERVER_URL";

/** A URL that was read, or what is wrong with it. */
export type ParsedServerUrl = { readonly url: string } | { readonly problem: string };

/**
 * Brings the address of a server into the form that paths are appended to: `http(s)://host[:port][/prefix]/api`. The
 * problem says what to do, and never repeats a password or a query.
 */
export function parseServerUrl(given: string): ParsedServerUrl {
  const example = `an address such as ${DEFAULT_SERVER_URL}`;
  const shown = quote(withoutSecrets(given));
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    return { problem: `must be ${example}; ${shown} is not a URL${missingScheme(given)}` };
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return { problem: `must be ${example}, with http or https; got ${shown}${missingScheme(given)}` };
  }
  if (url.username !== "" || url.password !== "") {
    return {
      problem: `must not contain a user name or password (got ${shown}); a proxy's credentials have no place in it`,
    };
  }
  if (given.includes("?") || given.includes("#")) {
    return { problem: `must not contain a query or a fragment (got ${shown} and more): leave out what follows ? or #` };
  }
  const path = url.pathname.replace(/\/+$/, "");
  return { url: url.origin + (path.endsWith("/api") ? path : `${path}/api`) };
}

/** The kind of value that `serverUrl` is: any text, for {@link parseServerUrl} says more about what is wrong. */
export const serverUrlText: Kind<string> = {
  expected: `an address such as ${DEFAULT_SERVER_URL}, as a string`,
  concealed: true,
  fromText: (value) => value,
  fromCode: (value) => (typeof value === "string" ? value.trim() : undefined),
};

/** What comes before the last `@` may be a password, and what follows `?` or `#` a token. */
function withoutSecrets(given: string): string {
  const at = given.lastIndexOf("@");
  const rest = at < 0 ? given : `***@${given.slice(at + 1)}`;
  return rest.replace(/[?#].*$/s, "");
}

function missingScheme(given: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? "" : ": it must begin with http:// or https://";
}

/** Finds the server's address, in the form of {@link parseServerUrl}. The default stands in for one that is wrong. */
export function resolveServerUrl(code: unknown, env: Env, problems: Set<string>): Sourced<string> {
  const option = "option serverUrl";
  const found = find(
    serverUrlText,
    { env, variables: [SERVER_URL_VARIABLE], option, code, fallback: DEFAULT_SERVER_URL },
    problems,
  );
  const parsed = parseServerUrl(found.value);
  if ("url" in parsed) return { value: parsed.url, source: found.source };
  problems.add(`${found.source === "code" ? option : `environment variable ${SERVER_URL_VARIABLE}`} ${parsed.problem}`);
  return { value: DEFAULT_SERVER_URL, source: found.source };
}
