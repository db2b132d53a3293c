/**
 * Azurite looks an entity up by walking its partition, so that each call costs more the more there is.
 * Here a table keeps its entities by their keys, as the service does.
 */
export interface Doc {
  $loki: number;
  PartitionKey?: string;
  RowKey?: string;
}

/** The parts of a LokiJS collection used here; the package has no types. */
export interface KeyedCollection {
  data: Doc[];
  on(event: string, listener: (docs: Doc | Doc[]) => void): void;
  findOne(query: Record<string, unknown>): unknown;
  removeBatchByPositions(positions: number[]): unknown;
}

const keyOf = ({ PartitionKey, RowKey }: Pick<Doc, 'PartitionKey' | 'RowKey'>) =>
  `${PartitionKey}\n${RowKey}`;

/** Answers `findOne` by both keys from a map. */
export function findByKeys(collection: KeyedCollection): void {
  const known = new Map(collection.data.map((doc) => [keyOf(doc), doc]));
  const each = (act: (doc: Doc) => void) => (docs: Doc | Doc[]) => {
    for (const doc of [docs].flat()) act(doc);
  };
  const put = each((doc) => known.set(keyOf(doc), doc));
  collection.on('insert', put);
  collection.on('update', put);
  const forget = each((doc) => known.delete(keyOf(doc)));
  collection.on('delete', forget);
  beforeRemovingBatch(collection, forget);
  const findOne = collection.findOne.bind(collection);
  collection.findOne = (query) => {
    const { PartitionKey, RowKey } = query;
    const byKeys = Object.keys(query).length === 2;
    return byKeys && typeof PartitionKey === 'string' && typeof RowKey === 'string'
      ? (known.get(keyOf({ PartitionKey, RowKey })) ?? null)
      : findOne(query);
  };
}

/** LokiJS tells nobody of a batch of removals. */
export function beforeRemovingBatch(
  collection: KeyedCollection,
  tell: (docs: Doc[]) => void,
): void {
  const removeBatch = collection.removeBatchByPositions.bind(collection);
  collection.removeBatchByPositions = (positions) => {
    tell(positions.flatMap((position) => collection.data[position] ?? []));
    return removeBatch(positions);
  };
}
