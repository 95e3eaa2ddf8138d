import { circlesOf, type Import } from "./imports.js";
import type { SourceTree } from "./source-tree.js";

/** The rooms of each floor, from the top. */
export type Floors = readonly (readonly string[])[];

/** The folder right below the root that a file is in; a file right below the root is a room by itself. */
export function roomOf(file: string): string {
  const [first = ""] = file.split("/");
  return first.replace(/\.ts$/, "");
}

/** Rooms of the tree that stand on no floor, and rooms of a floor that are not in the tree. */
export function misplacedRooms(tree: SourceTree, floors: Floors): string[] {
  const drawn = floors.flat();
  const built = [...new Set([...tree.keys()].map(roomOf))];
  return [
    ...built.filter((room) => !drawn.includes(room)).map((room) => `${room} is on no floor`),
    ...drawn.filter((room) => !built.includes(room)).map((room) => `${room} is drawn, and is not there`),
  ];
}

/** Imports between two rooms that do not lead to a lower floor. */
export function climbs(imports: readonly Import[], floors: Floors): string[] {
  const floorOf = (file: string) => floors.findIndex((rooms) => rooms.includes(roomOf(file)));
  const named = (file: string) => {
    const floor = floorOf(file);
    return `${file} (floor ${floor + 1}: ${floors[floor]?.join(" · ")})`;
  };
  return imports
    .filter(({ from, to }) => roomOf(from) !== roomOf(to) && floorOf(from) >= 0 && floorOf(to) >= 0)
    .filter(({ from, to }) => floorOf(from) >= floorOf(to))
    .map(({ from, to }) => `${named(from)} imports ${named(to)}`);
}

/** Circles among the folders inside a room. Files at the top of a room belong to none of them. */
export function circlesOfFolders(imports: readonly Import[]): string[] {
  const folderOf = (file: string) => file.split("/").slice(0, -1).slice(0, 2).join("/");
  const isInFolder = (file: string) => file.split("/").length > 2;
  const between = imports
    .filter(({ from, to }) => roomOf(from) === roomOf(to) && isInFolder(from) && isInFolder(to))
    .map(({ from, to }) => ({ from: folderOf(from), to: folderOf(to) }))
    .filter(({ from, to }) => from !== to);
  return circlesOf(between);
}
