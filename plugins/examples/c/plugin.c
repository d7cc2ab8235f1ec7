/* Finds characters that nobody sees and that make a text read otherwise than it is: those that turn its direction round
 * (CVE-2021-42574), zero-width ones that split keywords, and tags. What is found is stripped, rejected or held. */
#include "hooks.h"
#include "settings.h"

static const char schema[] =
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"title\": \"hidden-characters\",\n"
    " \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"action\"],\n"
    " \"properties\": {\n"
    "  \"action\": {\"enum\": [\"strip\", \"reject\", \"hold\"], \"description\": \"What becomes of such a text.\"},\n"
    "  \"allow\": {\"type\": \"array\", \"items\": {\"enum\": [\"direction\", \"zero-width\", \"tags\"]},\n"
    "             \"description\": \"Sorts that are not looked for.\"}}}\n";

enum { DIRECTION = 1, ZERO_WIDTH = 2, TAGS = 4 };
enum { STRIP, REJECT, HOLD };

/* Their names in the settings, and in the labels. */
static const char *const sorts[] = {"direction", "zero-width", "tags"};

/* What the settings become, once: each call starts from a snapshot of it. */
static int wanted = DIRECTION | ZERO_WIDTH | TAGS;
static int action = STRIP;

void exports_isthmus_policy_lifecycle_settings_schema(hooks_string_t *ret) { hooks_string_dup(ret, schema); }

void exports_isthmus_policy_lifecycle_validate_settings(hooks_string_t *settings,
                                                        exports_isthmus_policy_lifecycle_list_diagnostic_t *ret) {
  hooks_string_free(settings);
  ret->ptr = NULL;
  ret->len = 0;
}

bool exports_isthmus_policy_lifecycle_init(hooks_string_t *settings, hooks_string_t *err) {
  settings_t parsed;
  int chosen = -1;
  if (settings_parse(&parsed, settings->ptr, settings->len)) chosen = settings_find(&parsed, 0, "action");
  if (chosen < 0) {
    hooks_string_dup(err, "the settings name no action");
    return false;
  }
  action = settings_is(&parsed, chosen, "reject") ? REJECT : settings_is(&parsed, chosen, "hold") ? HOLD : STRIP;
  texts_t allowed = settings_texts(&parsed, 0, "allow");
  for (size_t i = 0; i < allowed.count; i++) {
    for (int sort = 0; sort < 3; sort++) {
      if (strcmp(allowed.at[i], sorts[sort]) == 0) wanted &= ~(1 << sort);
    }
  }
  return true;
}

/* The character at `at`, and how many bytes it takes. The server hands over UTF-8 that is sound. */
static uint32_t character(const uint8_t *at, size_t left, size_t *bytes) {
  static const uint8_t lengths[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
  size_t length = lengths[*at >> 4];
  *bytes = length = length > left ? left : length;
  uint32_t c = length == 1 ? *at : *at & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; i++) c = c << 6 | (at[i] & 0x3fu);
  return c;
}

/* Which sort of hidden character this is; 0: none. Emoji are joined with U+200D, and scripts of Persia and India need it
 * and U+200C: those two count only between characters of ASCII. */
static int sort_of(uint32_t c, uint8_t before, uint8_t after) {
  if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) return DIRECTION;
  if (c == 0x200b || c == 0x2060 || c == 0xfeff) return ZERO_WIDTH;
  if ((c == 0x200c || c == 0x200d) && before < 0x80 && after < 0x80) return ZERO_WIDTH;
  /* Tags after a black flag are flags of countries. */
  return c >= 0xe0001 && c <= 0xe007f && before < 0x80 ? TAGS : 0;
}

/* What is found, and the text without it. */
static int hidden(const hooks_string_t *text, hooks_string_t *rest) {
  int found = 0;
  rest->ptr = malloc(text->len + 1);
  rest->len = 0;
  uint8_t before = ' ';
  for (size_t at = 0, bytes; rest->ptr && at < text->len; at += bytes) {
    uint32_t c = character(text->ptr + at, text->len - at, &bytes);
    uint8_t after = at + bytes < text->len ? text->ptr[at + bytes] : ' ';
    int sort = sort_of(c, before, after) & wanted;
    found |= sort;
    if (sort) continue;
    memcpy(rest->ptr + rest->len, text->ptr + at, bytes);
    rest->len += bytes;
    before = text->ptr[at];
  }
  return found;
}

static void verdict(int found, hooks_string_t *rest, exports_isthmus_policy_content_hook_judgement_t *ret) {
  static const uint8_t tags[] = {
      ISTHMUS_POLICY_TYPES_VERDICT_REWRITE,
      ISTHMUS_POLICY_TYPES_VERDICT_REJECT,
      ISTHMUS_POLICY_TYPES_VERDICT_HOLD,
  };
  ret->verdict.tag = tags[action];
  if (action == STRIP) {
    ret->verdict.val.rewrite = *rest;
    rest->ptr = NULL;
  } else {
    /* Both have the same shape. */
    hooks_string_dup(&ret->verdict.val.reject.code, "hidden-characters#/action");
    hooks_string_dup(&ret->verdict.val.reject.text, "the text contains characters that nobody sees");
  }
  ret->labels.ptr = calloc(3, sizeof(hooks_string_t));
  for (int sort = 0; sort < 3; sort++) {
    if (found & 1 << sort) hooks_string_dup(&ret->labels.ptr[ret->labels.len++], sorts[sort]);
  }
}

void exports_isthmus_policy_content_hook_judge(exports_isthmus_policy_content_hook_call_t *call,
                                               exports_isthmus_policy_content_hook_item_t *item,
                                               exports_isthmus_policy_content_hook_borrow_body_t *body,
                                               exports_isthmus_policy_content_hook_judgement_t *ret) {
  memset(ret, 0, sizeof *ret);
  hooks_string_t rest;
  int found = hidden(&item->text, &rest);
  if (found) {
    verdict(found, &rest, ret);
    hooks_string_t line;
    hooks_string_set(&line, "hidden characters found");
    isthmus_policy_log_write(ISTHMUS_POLICY_LOG_LEVEL_INFO, &line);
  }
  free(rest.ptr);
  exports_isthmus_policy_content_hook_call_free(call);
  exports_isthmus_policy_content_hook_item_free(item);
}
