import { Converter, ReflectionKind, UnionType } from "typedoc";

/**
 * A plugin of TypeDoc that adds the docstrings of a union's members to that of the union, as a list. The Markdown plugin
 * leaves them out where no member is an object.
 *
 * @param {import("typedoc").Application} app
 */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const { type, comment } of project.getReflectionsByKind(ReflectionKind.TypeAlias)) {
      if (comment === undefined || !(type instanceof UnionType) || type.elementSummaries === undefined) continue;
      comment.summary.push({ kind: "text", text: "\n" });
      for (const [i, member] of type.types.entries()) {
        const summary = type.elementSummaries[i] ?? [];
        const between = summary.length === 0 ? "" : ": ";
        comment.summary.push(
          { kind: "text", text: "\n- " },
          { kind: "code", text: `\`${member.toString()}\`` },
          { kind: "text", text: between },
          ...summary,
        );
      }
    }
  });
}
