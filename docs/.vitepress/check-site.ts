import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

/** The address that the pages are looked at under; nothing answers there. */
const SITE = "http://site.invalid";

/**
 * Checks the built site for what VitePress does not look at: that each link within it leads to a file, that its anchor
 * is there, and that no page loads anything from elsewhere. Throws with one line for each problem.
 */
export function checkSite(outDir: string, base: string): void {
  const files = new Map(filesIn(outDir).map((file) => [base + file, join(outDir, file)]));
  const pages = new Map(
    [...files].flatMap(([path, file]) => (path.endsWith(".html") ? [[path, readFileSync(file, "utf8")] as const] : [])),
  );
  const ids = new Map([...pages].map(([path, html]) => [path, new Set(valuesOf(html, /<[^>]*?\sid="([^"]*)"/g))]));
  const problems = new Set<string>();
  for (const [page, html] of pages) {
    for (const href of valuesOf(html, /<a\s[^>]*?\bhref="([^"]*)"/g)) {
      const { origin, pathname, hash } = new URL(href, SITE + page);
      if (origin !== SITE) continue;
      const target = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      if (!files.has(target)) problems.add(`${page}: nothing is at ${href}`);
      else if (hash !== "" && ids.get(target)?.has(decodeURIComponent(hash.slice(1))) === false)
        problems.add(`${page}: no heading has the anchor of ${href}`);
    }
    for (const url of valuesOf(html, /<(?:script|img|link|iframe|source)\s[^>]*?\b(?:src|href)="([^"]*)"/g))
      if (!url.startsWith("data:") && new URL(url, SITE + page).origin !== SITE) problems.add(`${page}: loads ${url}`);
  }
  for (const [path, file] of files) {
    if (!path.endsWith(".css")) continue;
    for (const url of valuesOf(readFileSync(file, "utf8"), /(?:url\(|@import\s+)["']?((?:https?:)?\/\/[^"')\s]+)/g))
      problems.add(`${path}: loads ${url}`);
  }
  if (problems.size > 0) throw new Error(`the site is not whole:\n${[...problems].join("\n")}`);
}

/** All files below a folder, as parts of an address: `guide/write.html`. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

/** What the pattern's group finds, as the browser reads it. */
function valuesOf(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, value = ""]) =>
    value.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&"),
  );
}
