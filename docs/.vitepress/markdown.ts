import { existsSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import type { MarkdownEnv, MarkdownRenderer } from "vitepress";

/** Takes HTML comments out: they are for the tests that run the pages' code, and the search would show them. */
export function withoutComments(md: MarkdownRenderer): void {
  md.core.ruler.push("without-comments", ({ tokens }) => {
    for (const token of tokens) {
      for (const part of [token, ...(token.children ?? [])]) {
        if (part.type !== "html_block" && part.type !== "html_inline") continue;
        part.content = part.content.replace(/<!--[\s\S]*?-->/g, "");
      }
    }
  });
}

/** Where links go that leave the site. */
export interface Surroundings {
  /** The folder that the site is built from. */
  readonly docs: string;
  /** The repository's top folder. */
  readonly top: string;
  /** The repository's page, without a slash at the end. */
  readonly repositoryUrl: string;
}

/** Makes links to files outside of `docs/` links to the repository's page. Throws when there is no such file. */
export function leaveForRepository(md: MarkdownRenderer, { docs, top, repositoryUrl }: Surroundings): void {
  md.core.ruler.push("leave-for-repository", ({ tokens, env }) => {
    const { path: page } = env as MarkdownEnv;
    for (const link of tokens.flatMap((token) => token.children ?? [])) {
      if (link.type !== "link_open") continue;
      const [path = "", anchor] = (link.attrGet("href") ?? "").split("#");
      if (path === "" || path.startsWith("/") || /^[a-z][a-z+.-]*:/i.test(path)) continue;
      const target = join(dirname(page), decodeURIComponent(path));
      if (!relative(docs, target).startsWith("..")) continue;
      const inRepository = relative(top, target).split(sep).join("/");
      if (inRepository.startsWith("..") || !existsSync(target))
        throw new Error(`${relative(top, page)}: dead link to ${path}`);
      const kind = statSync(target).isDirectory() ? "tree" : "blob";
      link.attrSet("href", `${repositoryUrl}/${kind}/HEAD/${inRepository}${anchor === undefined ? "" : `#${anchor}`}`);
    }
  });
}
