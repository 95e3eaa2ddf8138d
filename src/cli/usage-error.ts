/** What a user got wrong on the command line; shown without a stack, with exit code 2. */
export class UsageError extends Error {}
