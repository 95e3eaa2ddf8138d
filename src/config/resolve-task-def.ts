import { TASK_DEF_FIELD_NAMES, taskDefProblems, type TaskDefFields } from "../conductor/task-def-rules.js";
import { isPlainObject } from "../worker/define-worker.js";
import { misspelt } from "./nearest.js";
import { find, flag, isBlank, quote, type Given } from "./parse.js";
import type { Sourced } from "./types.js";

/** Where an option of one worker is looked for. */
export interface WorkerGiven extends Given {
  readonly taskDefName: string;
}

/** Fields that the server keeps itself; a definition that was copied from it has them. */
const KEPT_BY_THE_SERVER = ["createTime", "updateTime", "createdBy", "updatedBy"];

/**
 * Reads `registerTaskDef` of one worker. The environment switches it on or off; which fields are registered is for the
 * code to say. What the server would refuse is a problem here.
 */
export function readRegisterTaskDef(given: WorkerGiven, problems: Set<string>): Sourced<boolean | TaskDefFields> {
  const fields = fieldsOf(given, problems);
  const isFields = typeof fields === "object";
  const isOn = find<boolean, false>(flag, { ...given, code: isFields ? true : fields, fallback: false }, problems);
  return { value: isOn.value && isFields ? fields : isOn.value, source: isOn.source };
}

/** The fields that an object names, as they go over the wire; else what it is. */
function fieldsOf(
  { taskDefName, code, option }: WorkerGiven,
  problems: Set<string>,
): TaskDefFields | boolean | undefined {
  if (code === undefined || typeof code === "boolean" || isBlank(code)) return code as boolean | undefined;
  if (typeof code !== "object" || code === null || !isPlainObject(code)) {
    problems.add(`${option} must be true, or an object with fields of the task definition, got ${quote(code)}`);
    return undefined;
  }
  let copy: Record<string, unknown>;
  try {
    copy = JSON.parse(JSON.stringify(code)) as Record<string, unknown>;
  } catch (error) {
    problems.add(`${option} must be JSON: ${String(error)}`);
    return undefined;
  }
  const { name, ...fields } = copy;
  if (name !== undefined && name !== taskDefName) {
    problems.add(`${option}.name must be the worker's taskDefName, or be left out, got ${quote(name)}`);
  }
  for (const kept of KEPT_BY_THE_SERVER) Reflect.deleteProperty(fields, kept);
  for (const problem of [...misspeltFields(fields), ...taskDefProblems(fields)]) problems.add(`${option}: ${problem}`);
  return fields;
}

/** Servers differ in what fields they have, so only what looks like a slip is one. */
function misspeltFields(fields: TaskDefFields): string[] {
  return Object.keys(fields)
    .filter((field) => !TASK_DEF_FIELD_NAMES.includes(field))
    .flatMap((field) => {
      const meant = misspelt(field, TASK_DEF_FIELD_NAMES);
      return meant === undefined ? [] : [`field ${field} does not exist (did you mean ${meant}?)`];
    });
}
