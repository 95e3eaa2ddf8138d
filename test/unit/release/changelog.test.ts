import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ChangelogError, releaseChangelog } from "../../../scripts/changelog.js";

const text = (...lines: string[]) => `${lines.join("\n")}\n`;
const HEAD = ["# Changelog", "", "All notable changes.", ""];

const release = (changelog: string) => releaseChangelog(changelog, "1.2.0", "2026-03-04");

describe("the changelog of a release", () => {
  test("moves what is unreleased under the version, and leaves an empty section above it", () => {
    const before = text(
      ...HEAD,
      "## [Unreleased]",
      "",
      "### Fixed",
      "",
      "- It stays up.",
      "",
      "## [1.1.0] - 2026-01-01",
    );
    expect(release(before)).toBe(
      text(
        ...HEAD,
        "## [Unreleased]",
        "",
        "## [1.2.0] - 2026-03-04",
        "",
        "### Fixed",
        "",
        "- It stays up.",
        "",
        "## [1.1.0] - 2026-01-01",
      ),
    );
  });

  test("puts the groups in order, makes one of two, and leaves out what is empty", () => {
    const before = text(
      ...["## [Unreleased]", "", "### Security", "", "- s", "", "### Fixed", "", "- f1", "### Removed", ""],
      ...["### Added", "", "**Workers**", "", "- a", "  goes on", "", "### Changed", "<!-- none yet -->"],
      ...["### Fixed", "", "- f2", "### Deprecated", "- d"],
    );
    expect(release(before)).toBe(
      text(
        ...[
          "## [Unreleased]",
          "",
          "## [1.2.0] - 2026-03-04",
          "",
          "### Added",
          "",
          "**Workers**",
          "",
          "- a",
          "  goes on",
        ],
        ...["", "### Deprecated", "", "- d", "", "### Fixed", "", "- f1", "- f2", "", "### Security", "", "- s"],
      ),
    );
  });

  test("keeps links at the end where they are, and the line ends of the file", () => {
    const before = text("## [Unreleased]", "", "### Added", "", "- a", "", "[Keep]: https://example.com/");
    const after = text(
      ...["## [Unreleased]", "", "## [1.2.0] - 2026-03-04", "", "### Added", "", "- a", ""],
      "[Keep]: https://example.com/",
    );
    expect(release(before)).toBe(after);
    expect(release(before.replaceAll("\n", "\r\n"))).toBe(after.replaceAll("\n", "\r\n"));
  });

  test.each([
    { what: "nothing at all", lines: [] },
    { what: "headings only", lines: ["### Added", "", "### Fixed", ""] },
    { what: "a comment only", lines: ["<!-- nothing yet -->", "### Added", "<!--", "- not this", "-->"] },
    { what: "a topic without an entry", lines: ["### Added", "", "**Workers**"] },
  ])("is refused when there is $what, with the place and what to do", ({ lines }) => {
    const before = text(
      ...HEAD,
      "## [Unreleased]",
      "",
      ...lines,
      "",
      "## [1.1.0] - 2026-01-01",
      "",
      "### Added",
      "- a",
    );
    expect(() => release(before)).toThrow(ChangelogError);
    expect(() => release(before)).toThrow(
      /^CHANGELOG\.md:5: nothing stands under "## \[Unreleased\]"\. Write there .* commit it, and run npm version again\.$/,
    );
  });

  test.each([
    {
      what: "an unknown group",
      lines: ["### Improved", "", "- a"],
      says: 'CHANGELOG.md:7: "### Improved" is no group.',
    },
    {
      what: "an entry of no group",
      lines: ["- a", "### Added"],
      says: "CHANGELOG.md:7: this line stands under no group.",
    },
  ])("is refused when there is $what", ({ lines, says }) => {
    expect(() => release(text(...HEAD, "## [Unreleased]", "", ...lines))).toThrow(says);
  });

  test("is refused when there is no Unreleased section, or when the version is there already", () => {
    expect(() => release(text(...HEAD))).toThrow('there is no heading "## [Unreleased]"');
    const twice = text("## [Unreleased]", "", "### Added", "- a", "## [1.2.0] - 2026-01-01");
    expect(() => release(twice)).toThrow('there is a section "## [1.2.0]" already');
  });

  test("can be made of this repository's CHANGELOG.md, which loses no entry", () => {
    const before = readFileSync(new URL("../../../CHANGELOG.md", import.meta.url), "utf8");
    const entries = (changelog: string) => [...changelog.matchAll(/^- /gm)].length;
    const isEmpty = !/^## \[Unreleased\]\s+### /m.test(before);
    if (isEmpty) expect(() => releaseChangelog(before, "999.0.0", "2026-03-04")).toThrow("nothing stands under");
    else expect(entries(releaseChangelog(before, "999.0.0", "2026-03-04"))).toBe(entries(before));
  });
});
