import path from "node:path";
import { Script } from "node:vm";
import { Linter } from "eslint";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { EXIT_THREAD_SOURCE } from "../../../src/liveness/thread/exit-source.js";
import { WATCHDOG_SOURCE } from "../../../src/liveness/thread/source.js";

const sources = [
  ["the watchdog thread", WATCHDOG_SOURCE],
  ["the threads that end the process", EXIT_THREAD_SOURCE],
] as const;

describe("the source of the watchdog's thread", () => {
  test.each(sources)("the source of %s is a script, by itself", (_name, source) => {
    expect(() => new Script(source)).not.toThrow();
    expect(source, "what a compiler may leave in functions that are turned to text").not.toMatch(/__name|__require/);
    const required = [...source.matchAll(/require\('([^']+)'\)/g)].map((match) => match[1]!);
    expect(required.length).toBeGreaterThan(0);
    expect(required.filter((name) => !name.startsWith("node:"))).toEqual([]);
  });

  test.each(sources)(
    "the source of %s passes the type checker, by its JSDoc",
    (_name, source) => {
      // Beside the protocol, which its types come from.
      const file = path.resolve("src/liveness/thread/checked-source.cjs");
      const options: ts.CompilerOptions = {
        allowJs: true,
        checkJs: true,
        strict: true,
        noEmit: true,
        target: ts.ScriptTarget.ES2023,
        // WebAssembly is declared there.
        lib: ["lib.es2023.d.ts", "lib.dom.d.ts"],
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        types: ["node"],
        skipLibCheck: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
      };
      const host = ts.createCompilerHost(options);
      const withSource: ts.CompilerHost = {
        ...host,
        fileExists: (name) => name === file || host.fileExists(name),
        readFile: (name) => (name === file ? source : host.readFile(name)),
        getSourceFile: (name, languageVersion) =>
          name === file
            ? ts.createSourceFile(name, source, languageVersion)
            : host.getSourceFile(name, languageVersion),
      };
      const program = ts.createProgram([file], options, withSource);
      const sourceFile = program.getSourceFile(file);
      const problems = [...program.getSyntacticDiagnostics(sourceFile), ...program.getSemanticDiagnostics(sourceFile)];
      const told = problems.map(({ start = 0, messageText }) => {
        const line = source.slice(0, start).split("\n").length;
        return `${line}: ${source.split("\n")[line - 1]}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
      });
      expect(told).toEqual([]);
    },
    60_000,
  );

  test.each(sources)("the source of %s passes the linter", (_name, source) => {
    const problems = new Linter().verify(source, {
      languageOptions: { sourceType: "commonjs", ecmaVersion: 2023 },
      rules: {
        "no-unused-vars": ["error", { caughtErrors: "none" }],
        "no-unreachable": "error",
        "no-dupe-keys": "error",
        "prefer-const": "error",
        "no-var": "error",
        "no-useless-escape": "error",
        eqeqeq: "error",
      },
    });
    expect(problems.map(({ line, message }) => `${line}: ${message}`)).toEqual([]);
  });
});
