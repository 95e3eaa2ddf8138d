import { HttpResponse } from "msw";

/** How somebody on the way answers in Conductor's stead. */
export interface StrangersAnswer {
  /** As a row names it. */
  readonly name: string;
  answer(): Response;
}

const page = (status: number, text: string) =>
  HttpResponse.html(`<html><head><title>${status} ${text}</title></head><center>nginx</center></html>`, { status });

/** A page of a web server, with any status. */
export const html = (status: number, text = "refused"): StrangersAnswer => ({
  name: `${status}, a page`,
  answer: () => page(status, text),
});

/** A framework's error in JSON, with the status and a message beside it. */
export const spring = (status: number): StrangersAnswer => ({
  name: `${status}, Spring's JSON`,
  answer: () =>
    HttpResponse.json(
      { timestamp: "2026-01-01T00:00:00Z", status, error: "Refused", message: "Refused", path: "/api/tasks" },
      { status },
    ),
});

/** An API gateway's answer to a route that it does not have. */
export const noRoute = (status: number): StrangersAnswer => ({
  name: `${status}, an API gateway's JSON`,
  answer: () => HttpResponse.json({ message: "Missing Authentication Token" }, { status }),
});

/** A rate limit that asks to wait longer than anybody should. */
export const wait = (status: number): StrangersAnswer => ({
  name: `${status} with Retry-After: 30`,
  answer: () => new HttpResponse("slow down", { status, headers: { "retry-after": "30" } }),
});
