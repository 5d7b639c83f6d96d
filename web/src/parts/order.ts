/** Which column the rows are sorted by, and which way. */
export interface Order<Key> {
  key: Key;
  down: boolean;
}
