import ts from "typescript";
import { syntaxOf, type SourceTree } from "./source-tree.js";

/** Names of types, interfaces, classes and enums that more than one file declares, as `Name: a.ts, b.ts`. */
export function namesOfTwoThings(tree: SourceTree): string[] {
  const files = new Map<string, Set<string>>();
  for (const [file, text] of tree) {
    const visit = (node: ts.Node): void => {
      const name = declaredName(node);
      if (name !== undefined) files.set(name, (files.get(name) ?? new Set()).add(file));
      ts.forEachChild(node, visit);
    };
    visit(syntaxOf(file, text));
  }
  return [...files]
    .filter(([, declaredIn]) => declaredIn.size > 1)
    .map(([name, declaredIn]) => `${name}: ${[...declaredIn].join(", ")}`)
    .sort();
}

function declaredName(node: ts.Node): string | undefined {
  const declares =
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isEnumDeclaration(node);
  return declares ? node.name?.text : undefined;
}
