import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";

/**
 * The body as it was before it was compressed. We do not ask for that, and a gateway may do it all the same.
 *
 * @throws when the coding is unknown, or the bytes are none of it, or more than `maxBytes` come out
 */
export function decoded(body: Buffer, coding: string, maxBytes: number): Buffer {
  const options = { maxOutputLength: maxBytes };
  switch (coding.trim().toLowerCase()) {
    case "":
    case "identity":
      return body;
    case "gzip":
    case "x-gzip":
      return gunzipSync(body, options);
    case "deflate":
      return inflateSync(body, options);
    case "br":
      return brotliDecompressSync(body, options);
    default:
      throw new Error("the answer is compressed in a way that was not asked for");
  }
}
