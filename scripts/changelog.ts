/** The groups of Keep a Changelog, in their order. */
export const GROUPS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"] as const;

type Group = (typeof GROUPS)[number];

/** The changelog cannot be released as it is; the message says where and what to do. */
export class ChangelogError extends Error {
  override readonly name = "ChangelogError";
}

const UNRELEASED = /^## \[Unreleased\]\s*$/i;
/** The next version, or the definitions of links that may stand at the end. */
const SECTION_END = /^(## |\[[^\]]+\]: )/;
const COMMENT = /<!--.*?-->/gs;
const ENTRY = /^[-*] /m;
const ENTRY_FIRST = /^[-*] /;

/**
 * The changelog with what is under `## [Unreleased]` moved under a heading of the version, and an empty Unreleased
 * section above it. The groups come in the order of {@link GROUPS}; one that stands there twice becomes one, and one
 * without content is left out.
 *
 * @throws {ChangelogError} when nothing is unreleased, or when something stands under no group of {@link GROUPS}
 */
export function releaseChangelog(text: string, version: string, date: string): string {
  const endOfLine = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = text.split(/\r?\n/);
  const from = lines.findIndex((line) => UNRELEASED.test(line));
  if (from < 0)
    throw new ChangelogError('CHANGELOG.md: there is no heading "## [Unreleased]". Put it above the versions.');
  if (lines.some((line) => line.startsWith(`## [${version}]`)))
    throw new ChangelogError(`CHANGELOG.md: there is a section "## [${version}]" already. Choose another version.`);
  const afterwards = lines.findIndex((line, index) => index > from && SECTION_END.test(line));
  const to = afterwards < 0 ? lines.length : afterwards;

  const groups = groupsOf(lines.slice(from + 1, to), from + 2);
  const hasEntry = [...groups.values()].some((body) => ENTRY.test(body.replace(COMMENT, "")));
  if (!hasEntry)
    throw new ChangelogError(
      `CHANGELOG.md:${from + 1}: nothing stands under "## [Unreleased]". Write there what changes for users, as "- " ` +
        `under ### ${GROUPS.join(", ### ")}; commit it, and run npm version again.`,
    );

  const sections = GROUPS.flatMap((group) => {
    const body = groups.get(group);
    return body === undefined ? [] : [`### ${group}`, body];
  });
  const above = lines.slice(0, from).join("\n").trimEnd();
  const below = lines.slice(to).join("\n").trimEnd();
  const parts = [above, "## [Unreleased]", `## [${version}] - ${date}`, ...sections, below];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`.replaceAll("\n", endOfLine);
}

/** What stands in each group; `firstLine` is where these lines begin in the file. */
function groupsOf(lines: readonly string[], firstLine: number): ReadonlyMap<Group, string> {
  const parts: { readonly group: Group; readonly lines: string[] }[] = [];
  for (const [index, line] of lines.entries()) {
    const where = `CHANGELOG.md:${firstLine + index}`;
    const heading = /^### (.*?)\s*$/.exec(line)?.[1];
    if (heading !== undefined) {
      const group = GROUPS.find((name) => name === heading);
      if (group === undefined)
        throw new ChangelogError(`${where}: "### ${heading}" is no group. Use one of ${GROUPS.join(", ")}.`);
      parts.push({ group, lines: [] });
    } else if (parts.length > 0) {
      parts.at(-1)?.lines.push(line);
    } else if (line.trim() !== "" && !/^<!--.*-->$/.test(line.trim())) {
      throw new ChangelogError(
        `${where}: this line stands under no group. Put it under one of ### ${GROUPS.join(", ### ")}.`,
      );
    }
  }
  const groups = new Map<Group, string>();
  for (const { group, lines: content } of parts) {
    const text = content.join("\n").trim();
    if (text.replace(COMMENT, "").trim() === "") continue;
    const earlier = groups.get(group);
    // Two lists become one; a topic keeps its distance.
    const between = ENTRY_FIRST.test(text) ? "\n" : "\n\n";
    groups.set(group, earlier === undefined ? text : `${earlier}${between}${text}`);
  }
  return groups;
}
