// What a look at an entry came to, where it cannot be served. Private.
#pragma once

#include "manifest_fault.hpp"
#include "trust.hpp"

#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/errors.hpp>

#include <cerrno>
#include <optional>
#include <string>

namespace opforge::cache {

struct Judgement {
    Refusal refusal;
    std::string reason;         // names the file and says why
    int code = 0;               // the errno where the file system refused
    bool missing_part = false;  // the entry is there, one of its files is not
};

/// Whether the entry itself is at fault, so that it may be moved away.
[[nodiscard]] inline bool is_bad(Refusal refusal) {
    return refusal == Refusal::malformed || refusal == Refusal::wrong_digest ||
           refusal == Refusal::wrong_target;
}

/// Runs `step`; nullopt where it went through.
template <typename Step>
[[nodiscard]] std::optional<Judgement> judge(Step step) {
    try {
        step();
        return std::nullopt;
    } catch (const MissingPart& fault) {
        return Judgement{fault.refusal(), fault.what(), 0, true};
    } catch (const ManifestFault& fault) {
        return Judgement{fault.refusal(), fault.what()};
    } catch (const InsecureError& error) {
        return Judgement{Refusal::insecure, error.what(), error.code().value()};
    } catch (const CacheError& error) {
        const int code = error.code().value();
        return Judgement{code == ENOENT ? Refusal::absent : Refusal::unreadable, error.what(),
                         code};
    }
}

/// Whether `step` finds the entry itself at fault.
template <typename Step>
[[nodiscard]] bool is_judged_bad(Step step) {
    const auto judgement = judge(step);
    return judgement && is_bad(judgement->refusal);
}

}  // namespace opforge::cache
