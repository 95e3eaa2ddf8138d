/** What a user got wrong; shown without a stack, with exit code 2. */
export class UsageError extends Error {}
