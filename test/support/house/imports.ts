import path from "node:path";
import ts from "typescript";
import { syntaxOf, type SourceTree } from "./source-tree.js";

/** One file of the tree imports another: by `import`, `export … from`, `import("…")`, for values or for types alone. */
export interface Import {
  readonly from: string;
  readonly to: string;
}

/** Imports between the files of the tree; those of packages are left out. Throws for a file that is not there. */
export function importsOf(tree: SourceTree): Import[] {
  return [...tree].flatMap(([from, text]) =>
    specifiersOf(from, text)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => {
        const to = targetOf(from, specifier);
        if (!tree.has(to)) throw new Error(`${from} imports ${specifier}, which is not there`);
        return { from, to };
      }),
  );
}

/** The path in the tree that a relative specifier names. */
export function targetOf(from: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(from), specifier).replace(/\.js$/, ".ts");
}

function specifiersOf(file: string, text: string): string[] {
  const specifiers: string[] = [];
  const add = (node: ts.Node | undefined) => {
    if (node === undefined) return;
    if (!ts.isStringLiteralLike(node)) throw new Error(`${file} imports what is not written out: ${node.getText()}`);
    specifiers.push(node.text);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node))
      add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(syntaxOf(file, text));
  return specifiers;
}

/** Circles of imports, one for each knot, as `a.ts → b.ts → a.ts`. */
export function circlesOf(imports: readonly Import[]): string[] {
  const targets = new Map<string, Set<string>>();
  for (const { from, to } of imports) targets.set(from, (targets.get(from) ?? new Set()).add(to));
  const circles: string[] = [];
  const inCircle = new Set<string>();
  for (const start of [...targets.keys()].sort()) {
    const circle = inCircle.has(start) ? undefined : shortestCircle(start, targets);
    if (circle === undefined) continue;
    for (const file of circle) inCircle.add(file);
    circles.push([...circle, start].join(" → "));
  }
  return circles;
}

/** From `start` back to it, breadth first; undefined: no way leads back. */
function shortestCircle(start: string, targets: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const ways: string[][] = [[start]];
  const seen = new Set<string>();
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    for (const next of targets.get(way.at(-1)!) ?? []) {
      if (next === start) return way;
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return undefined;
}
