import { Secret, type Credentials } from "../http/token.js";
import { unknownOptions } from "./nearest.js";
import { isBlank, type Env } from "./parse.js";
import type { AuthOptions, Source, Sourced } from "./types.js";

const KEY_VARIABLE = "CONDUCTOR_AUTH_KEY";
const SECRET_VARIABLE = "CONDUCTOR_AUTH_SECRET";
export const AUTH_VARIABLES = [KEY_VARIABLE, SECRET_VARIABLE] as const;

/** The one list of the fields of `auth`; the compiler holds it to the interface. */
const FIELDS = { keyId: true, keySecret: true } satisfies Record<keyof AuthOptions, true>;

/**
 * The access key: the environment's, else the one of the code, else none. Its two halves come from one place. No value is
 * repeated in a problem, the key's id neither: the two are easily taken for each other.
 */
export function resolveAuth(code: unknown, env: Env, problems: Set<string>): Sourced<Credentials | undefined> {
  const keyId = env[KEY_VARIABLE]?.trim() ?? "";
  const keySecret = env[SECRET_VARIABLE]?.trim() ?? "";
  const source: Source = `env ${KEY_VARIABLE}`;
  if (keyId !== "" && keySecret !== "") return { value: credentials(keyId, keySecret), source };
  if (keyId !== "" || keySecret !== "") {
    const [given, missing] = keyId === "" ? [SECRET_VARIABLE, KEY_VARIABLE] : [KEY_VARIABLE, SECRET_VARIABLE];
    problems.add(`environment variable ${given} is set and ${missing} is not: set both, or neither`);
    return { value: undefined, source };
  }
  return fromCode(code, problems);
}

function fromCode(auth: unknown, problems: Set<string>): Sourced<Credentials | undefined> {
  const none = { value: undefined, source: "default" } as const;
  if (auth === undefined) return none;
  if (typeof auth !== "object" || auth === null || Array.isArray(auth)) {
    const got = auth === null ? "null; leave it out for none" : `a value of type ${typeof auth}`;
    problems.add(`option auth must be { keyId, keySecret }, got ${got}`);
    return none;
  }
  for (const problem of unknownOptions(auth, FIELDS, "auth.")) problems.add(problem);
  const { keyId, keySecret } = auth as Record<string, unknown>;
  if (isUnset(keyId) && isUnset(keySecret)) return none;
  let isWrong = false;
  for (const [name, value] of Object.entries({ keyId, keySecret })) {
    if (typeof value === "string" && !isBlank(value)) continue;
    const got = isUnset(value) ? "nothing; set both, or neither" : `a value of type ${typeof value}`;
    problems.add(`option auth.${name} must be a string, got ${got}`);
    isWrong = true;
  }
  if (isWrong) return none;
  return { value: credentials((keyId as string).trim(), (keySecret as string).trim()), source: "code" };
}

function isUnset(value: unknown): boolean {
  return value === undefined || isBlank(value);
}

function credentials(keyId: string, keySecret: string): Credentials {
  return { keyId, keySecret: new Secret(keySecret) };
}
