/** What storage answered, by HTTP status: the one place that looks into the SDKs' errors. */

const statusOf = (error: unknown): number | undefined =>
  (error as { statusCode?: number }).statusCode;

export const isMissing = (error: unknown): boolean => statusOf(error) === 404;

/** The request itself is wrong. */
export const isMalformed = (error: unknown): boolean => statusOf(error) === 400;

/** Somebody else was first to make it. */
export const isThere = (error: unknown): boolean => statusOf(error) === 409;

/** It is shorter than where it was to be read from. */
export const isBehind = (error: unknown): boolean => statusOf(error) === 416;

/** It has another ETag than was said, or is longer. */
export const isChanged = (error: unknown): boolean => statusOf(error) === 412;
