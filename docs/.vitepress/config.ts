import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";
import { checkSite } from "./check-site.js";
import { leaveForRepository, withoutComments } from "./markdown.js";
import { guideSidebar, referenceSidebar } from "./sidebar.js";

const docs = join(import.meta.dirname, "..");
const top = join(docs, "..");

const { description, repository } = JSON.parse(readFileSync(join(top, "package.json"), "utf8")) as {
  description: string;
  repository?: { url: string };
};
if (repository === undefined) throw new Error("package.json names no repository: links out of docs/ lead there");
/** `https://…/owner/name`: links out of `docs/` lead below it. */
const repositoryUrl = repository.url.replace(/^git\+/, "").replace(/\.git$/, "");

/** Pages that are one long table. */
const TABLES = ["faults", "metrics"];

export default defineConfig({
  title: "Ostinato",
  description,
  lang: "en",
  // No icon, so that browsers ask for none.
  head: [["link", { rel: "icon", href: "data:," }]],
  // An address that only answers on the reader's machine is no dead link.
  ignoreDeadLinks: "localhostLinks",
  // The names of files as they are in the repository, so that links work in both places.
  cleanUrls: false,
  markdown: {
    config(md) {
      md.use(withoutComments);
      md.use(leaveForRepository, { docs, top, repositoryUrl });
    },
  },
  themeConfig: {
    nav: [
      { text: "Guide", link: "/guide/", activeMatch: "^/guide/" },
      { text: "Reference", link: "/reference/", activeMatch: "^/reference/" },
      { text: "Repository", link: repositoryUrl },
    ],
    sidebar: {
      "/": guideSidebar(docs, repositoryUrl),
      "/reference/": referenceSidebar(join(docs, "reference")),
    },
    outline: { level: [2, 3] },
    search: { provider: "local" },
    externalLinkIcon: true,
  },
  transformPageData(page) {
    const table = TABLES.find((name) => page.filePath === `${name}.md`);
    if (table !== undefined) Object.assign(page.frontmatter, { aside: false, pageClass: `wide ${table}` });
  },
  buildEnd(site) {
    checkSite(site.outDir, site.site.base);
  },
});
