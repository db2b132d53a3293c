/** The tags of a job: those of its type, and those that its request adds. */
import { callAuthors } from '../define/authors-code.ts';
import type { KnownType } from '../define/catalogue.ts';
import type { Requester } from '../define/define-job.ts';
import { BadRequestError } from '../errors.ts';
import { isTag, mostTags, tagChars } from '../model/tag.ts';

/** @throws BadRequestError */
export function tagsOf(
  { definition: { type, tags = [] } }: KnownType,
  input: unknown,
  requester: Requester,
  given: readonly string[] = [],
): { tags?: string[] } {
  const ofType =
    typeof tags === 'function'
      ? callAuthors('The tags', type, () => tags(input as never, requester))
      : tags;
  const all = [...new Set([...ofType, ...given])];
  const wrong = all.find((tag) => !isTag(tag));
  if (wrong !== undefined || all.length > mostTags)
    throw new BadRequestError(
      `A job has ${mostTags} tags at most, each of 1 to ${tagChars} characters without a comma${wrong === undefined ? `, and this one has ${all.length}` : `; '${String(wrong).slice(0, tagChars)}' is none`}.`,
      [
        {
          pointer: '/tags',
          message: wrong === undefined ? 'are too many' : 'holds what is no tag',
        },
      ],
    );
  return all.length > 0 ? { tags: all } : {};
}
