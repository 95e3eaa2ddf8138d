import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { DefaultTheme } from "vitepress";

/** The pages in their reading order, by their paths below `docs/`. */
const GUIDE: readonly { readonly text: string; readonly pages: readonly string[] }[] = [
  { text: "Write a worker", pages: ["guide/write", "guide/fail", "guide/long", "guide/later"] },
  { text: "Run it", pages: ["guide/configure", "guide/stop", "guide/supervise", "guide/journal"] },
  { text: "When things go wrong", pages: ["guide/away", "guide/stuck", "guide/troubleshoot", "faults"] },
  { text: "Watch it", pages: ["guide/watch", "guide/events", "metrics"] },
  { text: "Around it", pages: ["guide/test", "guide/client", "guide/orkes", "guide/commonjs", "guide/migrate"] },
];

/** The guide's sidebar. Throws when a page stands in no group, or is not there. */
export function guideSidebar(docs: string, repositoryUrl: string): DefaultTheme.SidebarItem[] {
  const listed = GUIDE.flatMap(({ pages }) => pages);
  const missing = listed.filter((page) => !existsSync(join(docs, `${page}.md`)));
  const unlisted = pagesIn(docs, "guide")
    .concat(pagesIn(docs, ""))
    .filter((page) => !listed.includes(page) && basename(page) !== "index");
  const problems = [
    ...missing.map((page) => `docs/${page}.md is in the sidebar, and not there`),
    ...unlisted.map((page) => `docs/${page}.md is in no group of the sidebar`),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return [
    { text: "Overview", link: "/guide/" },
    ...GUIDE.map(({ text, pages }) => ({
      text,
      items: pages.map((page) => ({ text: titleOf(join(docs, `${page}.md`)), link: `/${page}` })),
    })),
    {
      text: "The code",
      items: [
        { text: "Reference", link: "/reference/" },
        { text: "Architecture", link: `${repositoryUrl}/blob/HEAD/ARCHITECTURE.md` },
        { text: "Changelog", link: `${repositoryUrl}/blob/HEAD/CHANGELOG.md` },
      ],
    },
  ];
}

const ENTRY_POINTS = ["ostinato", "ostinato/context", "ostinato/supervisor", "ostinato/testing"];
const KINDS = { functions: "Functions", classes: "Classes", interfaces: "Interfaces", "type-aliases": "Types" };

/** The sidebar of the generated reference: what each entry point exports, by kind. */
export function referenceSidebar(reference: string): DefaultTheme.SidebarItem[] {
  return [
    { text: "Guide", link: "/guide/" },
    ...ENTRY_POINTS.map((entryPoint) => ({
      text: entryPoint,
      link: `/reference/${entryPoint}/`,
      items: Object.entries(KINDS).flatMap(([folder, text]) => {
        const items = pagesIn(reference, `${entryPoint}/${folder}`).map((page) => ({
          text: basename(page),
          link: `/reference/${page}`,
        }));
        return items.length === 0 ? [] : [{ text, items, collapsed: items.length > 5 }];
      }),
    })),
  ];
}

/** The Markdown files of one folder, without their ending, by their paths below `root`; none when it is not there. */
function pagesIn(root: string, folder: string): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  const names = readdirSync(path).filter((name) => name.endsWith(".md"));
  return names.sort().map((name) => (folder === "" ? "" : `${folder}/`) + name.slice(0, -".md".length));
}

function titleOf(file: string): string {
  const title = /^# (.+)$/m.exec(readFileSync(file, "utf8"))?.[1];
  if (title === undefined) throw new Error(`${file} has no title`);
  return title.replaceAll("`", "");
}
