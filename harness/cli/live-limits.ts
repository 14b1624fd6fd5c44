/** What is asked of real services at most when the user says nothing: enough to run the shipped scenarios with one provider, and a few cents with any. */
export const liveLimits = {
  requests: 20,
  characters: 2000,
};
