/** Atom documents around descriptions (RFC 4287, as far as the service's clients look at them). */
import { toXml, type Xml } from './xml.ts';

const atom = 'http://www.w3.org/2005/Atom';

export interface Described {
  /** Below the host; entities are named by it. */
  path: string;
  element: string;
  content: Xml;
}

function entry(base: string, { path, element, content }: Described): Xml {
  const now = new Date().toISOString();
  // Not its dollars: the SDKs take names from here as they stand.
  const encoded = encodeURI(path);
  return {
    id: `${base}/${encoded}?api-version=2021-05`,
    title: { '@type': 'text', '#text': path.split('/').at(-1) ?? '' },
    published: now,
    updated: now,
    author: { name: 'longhaul' },
    link: { '@rel': 'self', '@href': `${base}/${encoded}?api-version=2021-05` },
    content: { '@type': 'application/xml', [element]: content },
  };
}

export const entryDocument = (base: string, described: Described): string =>
  toXml({ entry: { '@xmlns': atom, ...entry(base, described) } });

/** `next` is the address of the rest, if there is one. */
export function feedDocument(
  base: string,
  title: string,
  all: readonly Described[],
  next?: string,
): string {
  const links: Xml[] = [{ '@rel': 'self', '@href': `${base}/${title}` }];
  if (next) links.push({ '@rel': 'next', '@href': next });
  return toXml({
    feed: {
      '@xmlns': atom,
      title: { '@type': 'text', '#text': title },
      id: `${base}/${title}`,
      updated: new Date().toISOString(),
      link: links,
      ...(all.length > 0 ? { entry: all.map((described) => entry(base, described)) } : {}),
    },
  });
}
