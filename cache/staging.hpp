// A folder in tmp that goes away again unless it was moved out. Private.
#pragma once

#include "secure_directory.hpp"

#include <string>
#include <utility>

namespace opforge::cache {

class Staging {
public:
    /// `parent` must outlive it. @throws CacheError
    Staging(const SecureDirectory& parent, std::string name)
        : parent_(parent), name_(std::move(name)), directory_(made()) {}
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    ~Staging() {
        if (!moved_) {
            remove_quietly(parent_, name_);
        }
    }
    [[nodiscard]] const SecureDirectory& directory() const noexcept { return directory_; }
    void move_to(const SecureDirectory& parent, const std::string& name) {
        parent_.move(name_, parent, name);
        moved_ = true;
    }
    /// Takes the place of what stands there, which goes where it stood and away with it. False
    /// where the file system cannot.
    [[nodiscard]] bool change_places_with(const SecureDirectory& parent, const std::string& name) {
        return parent_.exchange(name_, parent, name);
    }
    /// It was moved, although the file system said otherwise.
    void set_moved() noexcept { moved_ = true; }

private:
    [[nodiscard]] SecureDirectory made() const {
        try {
            return parent_.create(name_);
        } catch (...) {
            // No destructor runs for an object that was never complete.
            remove_quietly(parent_, name_);
            throw;
        }
    }

    const SecureDirectory& parent_;
    std::string name_;
    SecureDirectory directory_;
    bool moved_ = false;
};

}  // namespace opforge::cache
