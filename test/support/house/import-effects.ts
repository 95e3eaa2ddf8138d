import ts from "typescript";
import { targetOf } from "./imports.js";
import { syntaxOf, type SourceTree } from "./source-tree.js";

/** A module does more at import than make its own constants, functions and classes. */
export interface ImportEffect {
  readonly file: string;
  /** Of the statement at the top of the file that leads there, from 1. */
  readonly line: number;
  /** What it does: `uses process`. */
  readonly does: string;
}

/** What a module may use while it is imported: nothing of it is seen outside of the module. */
const HARMLESS_GLOBALS = new Set([
  "Array",
  "ArrayBuffer",
  "Atomics",
  "BigInt",
  "Boolean",
  "Buffer",
  "Error",
  "Float64Array",
  "Infinity",
  "Int32Array",
  "JSON",
  "Map",
  "Math",
  "NaN",
  "Number",
  "Object",
  "Promise",
  "RangeError",
  "Reflect",
  "RegExp",
  "Set",
  "SharedArrayBuffer",
  "String",
  "Symbol",
  "TypeError",
  "URL",
  "Uint8Array",
  "WeakMap",
  "WeakSet",
  "undefined",
]);
const HARMLESS_PACKAGES = new Set(["node:async_hooks", "node:buffer", "node:path", "node:util", "node:zlib"]);
const HARMLESS_IMPORTS = new Set(["constants of node:fs"]);

/**
 * What the modules of the tree do when they are imported, followed into the functions and constructors that they call:
 * uses of the process and of what it has (streams, timers, files, the environment, globals), a variable of another
 * moment that is set, an `await`, a dynamic import, an import for its effect alone. That last one is no effect where it
 * is of a file that is `declared` to have some: a bundler keeps it.
 */
export function effectsAtImport(tree: SourceTree, declared: readonly string[] = []): ImportEffect[] {
  const program = programOf(tree);
  const checker = program.getTypeChecker();
  const effects: ImportEffect[] = [];
  for (const file of tree.keys()) {
    const source = program.getSourceFile(absolute(file));
    if (source === undefined) continue;
    for (const statement of source.statements) {
      const line = source.getLineAndCharacterOfPosition(statement.getStart()).line + 1;
      const found = new Set<string>();
      if (ts.isImportDeclaration(statement)) {
        const { text: specifier } = statement.moduleSpecifier as ts.StringLiteral;
        const isBare = statement.importClause === undefined;
        if (isBare && !declared.includes(targetOf(file, specifier)))
          found.add(`imports ${specifier} for its effect alone`);
      } else new Follower(checker, (does) => found.add(does)).follow(statement);
      for (const does of found) effects.push({ file, line, does });
    }
  }
  return effects;
}

const absolute = (file: string): string => `/${file}`;

/** The tree alone, without the types of Node and of the language: a name that is declared nowhere in it is global. */
function programOf(tree: SourceTree): ts.Program {
  const options: ts.CompilerOptions = {
    noLib: true,
    types: [],
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const textOf = (file: string) => tree.get(file.slice(1));
  const host: ts.CompilerHost = {
    getSourceFile: (file) => {
      const text = textOf(file);
      return text === undefined ? undefined : syntaxOf(file.slice(1), text);
    },
    getDefaultLibFileName: () => "/lib.d.ts",
    writeFile: () => undefined,
    getCurrentDirectory: () => "/",
    getCanonicalFileName: (file) => file,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (file) => textOf(file) !== undefined,
    readFile: textOf,
    resolveModuleNameLiterals: (literals, containing) =>
      literals.map(({ text }) => {
        const target = text.startsWith(".") ? targetOf(containing.slice(1), text) : undefined;
        if (target === undefined || !tree.has(target)) return { resolvedModule: undefined };
        return { resolvedModule: { resolvedFileName: absolute(target), extension: ts.Extension.Ts } };
      }),
  };
  return ts.createProgram({ rootNames: [...tree.keys()].map(absolute), options, host });
}

/** Walks what is executed when a statement is, and tells what it does beyond its own module. */
class Follower {
  readonly #checker: ts.TypeChecker;
  readonly #tell: (does: string) => void;
  readonly #followed = new Set<ts.Node>();
  /** How deep in functions that are called: at the top a module sets its own variables. */
  #depth = 0;

  constructor(checker: ts.TypeChecker, tell: (does: string) => void) {
    this.#checker = checker;
    this.#tell = tell;
  }

  follow(node: ts.Node | undefined): void {
    if (node === undefined || ts.isTypeNode(node) || isDeclaredOnly(node)) return;
    if (ts.isClassLike(node)) this.#followClass(node);
    else if (ts.isIdentifier(node)) this.#use(node, this.#checker.getSymbolAtLocation(node));
    else if (ts.isPropertyAccessExpression(node)) this.follow(node.expression);
    else if (ts.isPropertyAssignment(node)) {
      if (ts.isComputedPropertyName(node.name)) this.follow(node.name.expression);
      this.follow(node.initializer);
    } else if (ts.isShorthandPropertyAssignment(node))
      this.#use(node.name, this.#checker.getShorthandAssignmentValueSymbol(node));
    else if (ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)) {
      if (!ts.isIdentifier(node.name)) this.follow(node.name);
      this.follow(node.initializer);
    } else if (ts.isCallExpression(node) || ts.isNewExpression(node)) this.#call(node.expression, node.arguments ?? []);
    else if (ts.isTaggedTemplateExpression(node)) {
      this.#call(node.tag, []);
      this.follow(node.template);
    } else if (ts.isMetaProperty(node)) return;
    else {
      if (ts.isAwaitExpression(node) && this.#depth === 0) this.#tell("awaits");
      if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) this.#set(node.left);
      if ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && isStep(node.operator))
        this.#set(node.operand);
      ts.forEachChild(node, (child) => {
        this.follow(child);
      });
    }
  }

  #call(callee: ts.Expression, args: readonly ts.Expression[]): void {
    if (callee.kind === ts.SyntaxKind.ImportKeyword) this.#tell(`imports ${args[0]?.getText() ?? ""}`);
    else this.follow(callee);
    const called = ts.isPropertyAccessExpression(callee) ? callee.name : callee;
    const symbol = this.#target(this.#checker.getSymbolAtLocation(called));
    for (const declaration of symbol?.declarations ?? []) this.#enter(bodyOwner(declaration));
    // A function that is given away is called, perhaps.
    for (const each of [unwrapped(callee), ...args]) if (isFunction(each)) this.#enter(each);
    for (const arg of args) this.follow(arg);
  }

  /** What a function, or the making of an object of a class, executes. */
  #enter(called: ts.Node | undefined): void {
    if (called === undefined || this.#followed.has(called)) return;
    this.#followed.add(called);
    this.#depth += 1;
    if (ts.isClassLike(called)) this.#construct(called);
    else if (ts.isFunctionLike(called)) {
      for (const parameter of called.parameters) this.follow(parameter);
      this.follow((called as ts.FunctionLikeDeclaration).body);
    }
    this.#depth -= 1;
  }

  #construct(called: ts.ClassLikeDeclaration): void {
    for (const type of called.heritageClauses?.flatMap((clause) => [...clause.types]) ?? [])
      this.#call(type.expression, []);
    for (const member of called.members) {
      if (ts.isConstructorDeclaration(member)) this.#enter(member);
      else if (ts.isPropertyDeclaration(member) && !isStatic(member)) this.follow(member.initializer);
    }
  }

  /** What the declaration of a class executes. */
  #followClass(declared: ts.ClassLikeDeclaration): void {
    for (const clause of declared.heritageClauses ?? [])
      if (clause.token === ts.SyntaxKind.ExtendsKeyword) for (const type of clause.types) this.follow(type.expression);
    for (const member of declared.members) {
      if (ts.isClassStaticBlockDeclaration(member)) this.follow(member.body);
      else if (ts.isPropertyDeclaration(member) && isStatic(member)) this.follow(member.initializer);
    }
  }

  #use(name: ts.Identifier, symbol: ts.Symbol | undefined): void {
    const [declaration] = symbol?.declarations ?? [];
    if (name.text === "globalThis" || declaration === undefined) {
      if (!HARMLESS_GLOBALS.has(name.text)) this.#tell(`uses ${name.text}`);
      return;
    }
    const from = ts.findAncestor(declaration, ts.isImportDeclaration)?.moduleSpecifier;
    if (from === undefined || !ts.isStringLiteral(from) || from.text.startsWith(".")) return;
    const imported = `${name.text} of ${from.text}`;
    if (!HARMLESS_PACKAGES.has(from.text) && !HARMLESS_IMPORTS.has(imported)) this.#tell(`uses ${imported}`);
  }

  #set(target: ts.Node): void {
    if (this.#depth === 0 || !ts.isIdentifier(target)) return;
    const [declaration] = this.#checker.getSymbolAtLocation(target)?.declarations ?? [];
    const isOfModule =
      declaration !== undefined && ts.findAncestor(declaration, (node) => ts.isFunctionLike(node)) === undefined;
    if (isOfModule) this.#tell(`sets ${target.text}`);
  }

  #target(symbol: ts.Symbol | undefined): ts.Symbol | undefined {
    const isAlias = symbol !== undefined && (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return isAlias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }
}

/** Executes nothing when it is met: a function before it is called, a type, a name that is passed on. */
function isDeclaredOnly(node: ts.Node): boolean {
  return (
    ts.isFunctionLike(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isExportDeclaration(node)
  );
}

/** The function or class that a call of this declaration enters. */
function bodyOwner(declaration: ts.Declaration): ts.Node | undefined {
  if (ts.isClassLike(declaration) || ts.isFunctionLike(declaration)) return declaration;
  const holds = ts.isVariableDeclaration(declaration) || ts.isPropertyAssignment(declaration);
  return holds && declaration.initializer !== undefined ? unwrapped(declaration.initializer) : undefined;
}

function unwrapped(node: ts.Expression): ts.Expression {
  return ts.isParenthesizedExpression(node) ? unwrapped(node.expression) : node;
}

function isFunction(node: ts.Node): boolean {
  return ts.isArrowFunction(node) || ts.isFunctionExpression(node);
}

function isStatic(member: ts.PropertyDeclaration): boolean {
  return member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) === true;
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

function isStep(operator: ts.SyntaxKind): boolean {
  return operator === ts.SyntaxKind.PlusPlusToken || operator === ts.SyntaxKind.MinusMinusToken;
}
