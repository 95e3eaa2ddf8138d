/** A line of a terminal's output, and when it came, in seconds. */
export interface TimedLine {
  readonly text: string;
  readonly atSeconds: number;
}

const COLUMN_PX = 8.4;
const LINE_PX = 19;
const MARGIN_PX = 16;
const FONT_PX = 14;
/** What a terminal calls 31, 32, 35, 36 and 2. */
const TONES: Readonly<Record<string, string>> = { "31": "bad", "32": "good", "35": "b", "36": "a", "2": "quiet" };

interface Theme {
  readonly back: string;
  readonly edge: string;
  readonly text: string;
  readonly tones: Readonly<Record<string, string>>;
}

const LIGHT: Theme = {
  back: "#ffffff",
  edge: "#d0d7de",
  text: "#24292f",
  tones: { bad: "#cf222e", good: "#1a7f37", a: "#0969da", b: "#bf3989", quiet: "#6e7781" },
};
const DARK: Theme = {
  back: "#0d1117",
  edge: "#30363d",
  text: "#e6edf3",
  tones: { bad: "#ff7b72", good: "#3fb950", a: "#58a6ff", b: "#f778ba", quiet: "#8b949e" },
};

// Spelled out: not everything that draws SVG knows CSS variables.
const rules = ({ back, edge, text, tones }: Theme): string =>
  [
    `rect { fill: ${back}; stroke: ${edge} }`,
    `text { fill: ${text} }`,
    ...Object.entries(tones).map(([name, colour]) => `.${name} { fill: ${colour} }`),
  ].join(" ");

const STYLE = `
  text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: ${FONT_PX}px; white-space: pre }
  ${rules(LIGHT)}
  @media (prefers-color-scheme: dark) { ${rules(DARK)} }
  @keyframes yetToCome { from, to { opacity: 0 } }
  @media (prefers-reduced-motion: no-preference) { text { animation: yetToCome 0s } }`;

/**
 * A picture of a terminal in which the lines appear as they came. Once: what is left is the whole story, and so it is
 * for who does not want things to move, and where SVG does not move. Knows the colours of `TONES`, and no other codes.
 */
export function terminalSvg(lines: readonly TimedLine[], columns: number, title: string): string {
  const width = Math.ceil(columns * COLUMN_PX + 2 * MARGIN_PX);
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const rows = lines.map(({ text, atSeconds }, index) => {
    const y = MARGIN_PX + index * LINE_PX + FONT_PX;
    const content = spans(text);
    return content === ""
      ? ""
      : `<text x="${MARGIN_PX}" y="${y}" xml:space="preserve" style="animation-duration:${atSeconds.toFixed(2)}s">${content}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    ...rows.filter((row) => row !== ""),
    "</svg>",
    "",
  ].join("\n");
}

/** SGR codes become classes; what stands between gaps is stretched to its columns, whatever font there is. */
function spans(text: string): string {
  let tone: string | undefined;
  let column = 0;
  const parts: string[] = [];
  for (const [index, part] of text.split(/\x1b\[(\d+)m/).entries()) {
    if (index % 2 === 1) {
      tone = TONES[part];
      continue;
    }
    for (const words of part.split(/( {2,}|^ | $)/)) {
      if (words.trim() !== "") {
        const place = `x="${px(MARGIN_PX + column * COLUMN_PX)}" textLength="${px(words.length * COLUMN_PX)}" lengthAdjust="spacingAndGlyphs"`;
        parts.push(`<tspan ${place}${tone === undefined ? "" : ` class="${tone}"`}>${escape(words)}</tspan>`);
      }
      column += words.length;
    }
  }
  return parts.join("");
}

const px = (value: number): string => String(Math.round(value * 10) / 10);

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
