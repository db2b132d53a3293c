/** Words by which people find jobs again. */

export const mostTags = 10;
export const tagChars = 64;

/** No comma: a message carries them with commas between. */
export const isTag = (text: unknown): text is string =>
  typeof text === 'string' && /^[^,\p{Cc}\p{Cs}]{1,64}$/u.test(text) && text.trim() === text;

export const toText = (tags: readonly string[]): string => tags.join(',');

/** What a message says, of whoever sent it: what is no tag is left out. */
export const fromText = (text: string): string[] =>
  [...new Set(text.split(',').map((tag) => tag.trim()))].filter(isTag).slice(0, mostTags);
