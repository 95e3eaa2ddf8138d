import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { repositoryRoot, runTool } from "./packed-package.js";

/** The types by `apiVersion kind`, where they are in `kubernetes-types`. */
const TYPES: Readonly<Record<string, readonly [module: string, type: string]>> = {
  "apps/v1 Deployment": ["apps/v1", "Deployment"],
  "v1 Secret": ["core/v1", "Secret"],
};

/**
 * Holds manifests to the API's types with the TypeScript compiler: as literals, so that an unknown field (a misspelt one,
 * or one at the wrong depth) is an error as a wrong type is. Rejects with what the compiler says.
 */
export async function checkManifests(manifests: readonly object[]): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-manifests-"));
  try {
    symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(folder, "node_modules"), "junction");
    const checks = manifests.map((manifest) => {
      const { apiVersion, kind } = manifest as { apiVersion?: string; kind?: string };
      const name = `${apiVersion ?? "?"} ${kind ?? "?"}`;
      const [module, type] = TYPES[name] ?? [];
      if (module === undefined || type === undefined) throw new Error(`no type for ${name}`);
      const literal = JSON.stringify(manifest, undefined, 2);
      return `(${literal}) satisfies import("kubernetes-types/${module}").${type};`;
    });
    writeFileSync(path.join(folder, "manifests.ts"), `${checks.join("\n")}\nexport {};\n`);
    const options = "--noEmit --strict --skipLibCheck --module preserve --moduleResolution bundler";
    await runTool("typescript/bin/tsc", [...options.split(" "), "manifests.ts"], folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
